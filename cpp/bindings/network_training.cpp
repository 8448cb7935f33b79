// Training networks.
#include "fastpolysem/models/network/kernels/table.hpp"
#include "fastpolysem/models/network/measures/concepts.hpp"
#include "fastpolysem/models/network/model/tables.hpp"
#include "module.hpp"
#include "training.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace network;

template <class T>
py::dict train_as(const Settings& s, const TrainingCall& call) {
    Task<T> task;
    task.settings = s.for_rows(s.rows());
    return train_task(
        task, kernels(), columns(s), call, [&](const std::string& name) { return metric_of(s, name); },
        [&](StopSource& source) {
            StopToken stop(source, true);
            make_shared_tables<T>(task.settings, stop);
            if (!stop.stopped()) share_concepts<T>(task.settings, stop);
        });
}

py::dict train(const Settings& s, const Array<std::uint64_t>& seeds, const py::dict& initial_weights,
               const std::vector<std::string>& metrics, const Array<std::int64_t>& record_steps, bool return_weights,
               int num_threads, const std::string& kernel, const py::object& progress) {
    return with_dtype(s, [&](auto type) {
        return train_as<decltype(type)>(
            s, {seeds, initial_weights, metrics, record_steps, return_weights, num_threads, kernel, progress});
    });
}

// Memory that training takes besides results, in bytes, clamped to 2^62.
std::int64_t bytes(const Settings& s, const std::string& kernel, std::int64_t seeds, std::int64_t threads) {
    return with_dtype(s, [&](auto type) {
        using T = decltype(type);
        const double one = kernels().choose(s, kernel, seeds).bytes(s, sizeof(T) == 8);
        return std::int64_t(std::min(double(threads) * one + shared_bytes<T>(s), 0x1p62));
    });
}

}  // namespace

void add_network_training(py::module_& m) {
    m.attr("NETWORK_NUMERICS_VERSION") = network::numerics_version;
    m.def(
        "network_kernel_refusal",
        [](const Settings& s, const std::string& kernel) { return kernels().refusal(s, kernel); }, "settings"_a,
        "kernel"_a);
    m.def("network_bytes", &bytes, "settings"_a, "kernel"_a, "seeds"_a, "threads"_a);
    m.def("network_train", &train, "settings"_a, "seeds"_a, "initial_weights"_a, "metrics"_a, "record_steps"_a,
          "return_weights"_a, "num_threads"_a, "kernel"_a, "progress"_a);
}

}  // namespace fastpolysem::bindings
