// Tiny networks: one seed in each lane of every vector.
#include "fastpolysem/models/network/kernels/table.hpp"
#include "fastpolysem/models/network/passes/lanes_pass.hpp"
#include "fastpolysem/models/network/passes/update.hpp"

namespace fastpolysem::network {
namespace {

template <class T>
class LanesKernel {
    // Entries of the largest matrix beyond which a vector of models no longer fits into the caches, and up to which
    // this kernel is the fastest if there are enough seeds to fill the lanes; for tiny matrices half as many seeds
    // suffice.
    static constexpr std::int64_t limit = 1 << 12, best = 1 << 10, tiny = 1 << 7;
    // Inputs per row of a data set beyond which it is slower, because every lane gathers its own rows.
    static constexpr std::int64_t gathered = 32;
    static std::int64_t largest(const Settings& s) {
        std::int64_t most = 0;
        for (const Layer& layer : s.layers) most = std::max<std::int64_t>(most, layer.inputs * layer.outputs);
        return most;
    }

  public:
    using Model = network::Model<T>;
    using Entry = simd::Pack<T>;
    static constexpr const char* name = "lanes";
    static constexpr bool looks_ahead = false;
    static constexpr int steps_between_checks = 1;

    static std::string refusal(const Settings& s) {
        if (largest(s) > limit)
            return "it is for small networks, matrices of up to " + std::to_string(limit) + " entries; use 'rows'";
        return "";
    }
    static bool suits(const Settings& s, std::int64_t seeds) {
        if (s.inputs == Inputs::dataset && !s.full_batch && s.n_inputs() > gathered) return false;
        const std::int64_t filled = Entry::width * (largest(s) <= tiny ? 2 : 3) / 4;
        return largest(s) <= best && seeds >= filled;
    }
    static double bytes(const Settings& s) {
        Settings wide = s;
        for (Layer& layer : wide.layers) layer.outputs *= simd::Pack<T>::width;
        double sum = LanesPass<T>::bytes(s) + Parameters<T>::bytes(wide) + Optimizer<T>::bytes(wide);
        if (s.readout != Readout::dense) sum += Matrix<T>::bytes(wide.layers.back().inputs, wide.layers.back().outputs);
        return sum;
    }

    template <class Workspace>
    LanesKernel(const Settings& s, const Workspace&)
        : s_(s), pass_(s), schedules_(s), optimizer_(pass_.lane_settings), weights_(pass_.lane_settings) {}

    void set(int lane, const Parameters<T>& weights) { pass_.set(lane, weights, weights_); }
    void begin(const LanesStep<T>&, StopToken&) {
        schedules_.restart();
        optimizer_.restart();
        if (s_.readout == Readout::dense) return;
        const Matrix<T>& readout = weights_.weights.back();
        read_ = Matrix<T>(readout.rows, readout.columns);
        each_vector(read_, [&](std::ptrdiff_t e) { P::load(readout.row(0) + e).store(read_.row(0) + e); });
    }
    void step(LanesStep<T>& step, StopToken& stop) {
        pass_(weights_, step, nullptr, true, stop);
        optimizer_(weights_, pass_.gradient, schedules_.next(step.index));
        if (s_.readout == Readout::dense) return;
        T* const readout = weights_.weights.back().row(0);
        each_vector(read_, [&](std::ptrdiff_t e) {
            const P start = P::load(read_.row(0) + e);
            simd::select<T>(start == P::zero(), P::zero(), P::load(readout + e)).store(readout + e);
        });
    }
    void read(int lane, Parameters<T>& weights) { pass_.read(lane, weights_, weights); }

  private:
    using P = simd::Pack<T>;

    template <class Use>
    static void each_vector(const Matrix<T>& w, Use use) {
        for (std::ptrdiff_t e = 0; e < w.rows * w.stride; e += P::width) use(e);
    }

    const Settings& s_;
    LanesPass<T> pass_;
    Schedules<T> schedules_;
    Optimizer<T> optimizer_;
    Parameters<T> weights_;
    Matrix<T> read_;  // the last matrix at the start, whose zeros are kept: see Readout
};

}  // namespace

KernelEntry lanes_kernel() { return training::kernel_entry<Model, LanesKernel>(); }

}  // namespace fastpolysem::network
