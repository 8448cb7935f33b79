// A kernel that trains one seed at a time: a pass, then the update of all parameters.
#pragma once

#include "fastpolysem/models/network/kernels/family.hpp"
#include "fastpolysem/models/network/passes/update.hpp"

namespace fastpolysem::network {

template <class T, class Pass>
class SeedKernel {
  public:
    using Model = network::Model<T>;
    using Entry = T;
    static constexpr bool looks_ahead = false;
    static constexpr int steps_between_checks = 1;

    static std::string refusal(const Settings&) { return ""; }
    static bool suits(const Settings&, std::int64_t) { return true; }

    template <class Workspace>
    SeedKernel(const Settings& s, const Workspace&) : s_(s), pass_(s), schedules_(s), optimizer_(s), weights_(s) {}

    void set(int, const Parameters<T>& weights) {
        weights_.copy_from(weights);
        unread_.clear();
        if (s_.readout == Readout::dense) return;
        const Matrix<T>& readout = weights_.weights.back();
        for (std::ptrdiff_t k = 0; k < readout.rows; ++k)
            for (std::ptrdiff_t j = 0; j < readout.columns; ++j)
                if (readout.row(k)[j] == 0) unread_.push_back(k * readout.stride + j);
    }
    void begin(const Step<T>&, StopToken&) {
        schedules_.restart();
        optimizer_.restart();
    }
    void step(const Step<T>& step, StopToken& stop) {
        pass_(weights_, step, false, true, stop);
        optimizer_(weights_, pass_.gradient, schedules_.next(step.index));
        for (const std::ptrdiff_t e : unread_) weights_.weights.back().row(0)[e] = 0;
    }
    void read(int, Parameters<T>& weights) const { weights.copy_from(weights_); }

  protected:
    static double state_bytes(const Settings& s) {
        const double readout =
            s.readout == Readout::dense ? 0 : Matrix<T>::bytes(s.layers.back().inputs, s.n_outputs());
        return Parameters<T>::bytes(s) + Optimizer<T>::bytes(s) + readout / sizeof(T) * sizeof(std::ptrdiff_t);
    }

  private:
    const Settings& s_;
    Pass pass_;
    Schedules<T> schedules_;
    Optimizer<T> optimizer_;
    Parameters<T> weights_;
    std::vector<std::ptrdiff_t> unread_;  // entries of the last matrix that are kept at 0: see Readout
};

}  // namespace fastpolysem::network
