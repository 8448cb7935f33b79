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
    SeedKernel(const Settings& s, const Workspace&) : pass_(s), schedules_(s), optimizer_(s), weights_(s) {}

    void set(int, const Parameters<T>& weights) { weights_.copy_from(weights); }
    void begin(const Step<T>&, StopToken&) {
        schedules_.restart();
        optimizer_.restart();
    }
    void step(const Step<T>& step, StopToken& stop) {
        pass_(weights_, step, false, true, stop);
        optimizer_(weights_, pass_.gradient, schedules_.next(step.index));
    }
    void read(int, Parameters<T>& weights) const { weights.copy_from(weights_); }

  protected:
    static double state_bytes(const Settings& s) { return Parameters<T>::bytes(s) + Optimizer<T>::bytes(s); }

  private:
    Pass pass_;
    Schedules<T> schedules_;
    Optimizer<T> optimizer_;
    Parameters<T> weights_;
};

}  // namespace fastpolysem::network
