// Tiny networks: one seed in each lane of every vector.
#include "fastpolysem/models/network/kernels/table.hpp"
#include "fastpolysem/models/network/passes/lanes_pass.hpp"
#include "fastpolysem/models/network/passes/update.hpp"

namespace fastpolysem::network {
namespace {

template <class T>
class LanesKernel {
    // Entries of the largest matrix beyond which a vector of models no longer fits the caches, and up to which, with
    // enough seeds to fill the lanes, it is the fastest.
    static constexpr std::int64_t limit = 1 << 12, best = 1 << 10, enough_seeds = 4;
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
    static bool suits(const Settings& s, std::int64_t seeds) { return largest(s) <= best && seeds >= enough_seeds; }
    static double bytes(const Settings& s) {
        Settings wide = s;
        for (Layer& layer : wide.layers) layer.outputs *= simd::Pack<T>::width;
        return LanesPass<T>::bytes(s) + Parameters<T>::bytes(wide) + Optimizer<T>::bytes(wide);
    }

    template <class Workspace>
    LanesKernel(const Settings& s, const Workspace&)
        : pass_(s), schedules_(s), optimizer_(pass_.lane_settings), weights_(pass_.lane_settings) {}

    void set(int lane, const Parameters<T>& weights) { pass_.set(lane, weights, weights_); }
    void begin(const LanesStep<T>&, StopToken&) {
        schedules_.restart();
        optimizer_.restart();
    }
    void step(LanesStep<T>& step, StopToken& stop) {
        pass_(weights_, step, nullptr, true, stop);
        optimizer_(weights_, pass_.gradient, schedules_.next(step.index));
    }
    void read(int lane, Parameters<T>& weights) { pass_.read(lane, weights_, weights); }

  private:
    LanesPass<T> pass_;
    Schedules<T> schedules_;
    Optimizer<T> optimizer_;
    Parameters<T> weights_;
};

}  // namespace

KernelEntry lanes_kernel() { return training::kernel_entry<Model, LanesKernel>(); }

}  // namespace fastpolysem::network
