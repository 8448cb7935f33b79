// Training, and the counts for weights of any origin.
#include "fastpolysem/models/autoencoder/kernels/table.hpp"
#include "module.hpp"
#include "training.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace autoencoder;

template <class T>
py::dict train_as(const Settings& s, const py::object& noise_sequence, const TrainingCall& call) {
    Task<T> task;
    task.settings = s;
    task.given.data = entries_or_null<T>(noise_sequence);
    if (task.given.data) task.given.sets = py::reinterpret_borrow<py::array>(noise_sequence).shape(0);
    return train_task(
        task, kernels(), columns(), call, [](const std::string& name) { return parse<Metric>("metrics", name); },
        [](StopSource&) {});
}

py::dict train(const Settings& s, const Array<std::uint64_t>& seeds, const py::dict& initial_weights,
               const py::object& noise_sequence, const std::vector<std::string>& metrics,
               const Array<std::int64_t>& record_steps, bool return_weights, int num_threads, const std::string& kernel,
               const py::object& progress) {
    return with_dtype(s, [&](auto type) {
        return train_as<decltype(type)>(
            s, noise_sequence,
            {seeds, initial_weights, metrics, record_steps, return_weights, num_threads, kernel, progress});
    });
}

// In bytes, clamped to 2^62.
std::int64_t model_bytes(const Settings& s, const std::string& kernel, std::int64_t seeds) {
    const double bytes = kernels().choose(s, kernel, seeds).bytes(s, s.dtype == Dtype::float64);
    return std::int64_t(std::min(bytes, 0x1p62));
}

py::list column_table() {
    py::list table;
    for (const auto& column : columns()) {
        const char* const dtypes[] = {"int64", "float64", "bool"};
        table.append(py::make_tuple(column.name, dtypes[column.value.index()],
                                    column.diverged ? py::object(py::float_(*column.diverged)) : py::none(),
                                    column.doc));
    }
    return table;
}

template <class T>
std::vector<Outcome> counts_of(const py::array& weights, double low, double high) {
    const py::ssize_t n = weights.shape(1), m = weights.shape(2);
    std::vector<Outcome> rows(static_cast<std::size_t>(weights.shape(0)));
    const auto contiguous = Array<T>::ensure(weights);
    const T* data = contiguous.data();
    compute([&](StopToken& stop) {
        for (Outcome& row : rows) {
            if (stop.stopped()) return;
            static_cast<Counts&>(row) = count(WeightView<T>{data, nullptr, n, m, m}, low, high);
            data += n * m;
        }
    });
    return rows;
}

py::dict count_weights(const py::array& weights, double low, double high) {
    const bool single = py::isinstance<Array<float>>(weights);
    std::vector<Outcome> rows = single ? counts_of<float>(weights, low, high) : counts_of<double>(weights, low, high);
    py::dict result;
    for (std::size_t i = 0; i < count_columns; ++i) {
        const auto& column = columns()[i];
        result[py::str(column.name)] = column_of(rows, std::get<0>(column.value));
    }
    return result;
}

}  // namespace

void add_training(py::module_& m) {
    py::list metric_names;
    for (const char* name : Names<Metric>::all) metric_names.append(name);
    m.attr("METRICS") = py::tuple(metric_names);
    m.def("autoencoder_columns", &column_table);
    m.def(
        "kernel_refusal", [](const Settings& s, const std::string& kernel) { return kernels().refusal(s, kernel); },
        "settings"_a, "kernel"_a);
    m.def("model_bytes", &model_bytes, "settings"_a, "kernel"_a, "seeds"_a);
    m.def("train", &train, "settings"_a, "seeds"_a, "initial_weights"_a, "noise_sequence"_a, "metrics"_a,
          "record_steps"_a, "return_weights"_a, "num_threads"_a, "kernel"_a, "progress"_a);
    m.def("count", &count_weights, "weights"_a, "low"_a, "high"_a);
}

}  // namespace fastpolysem::bindings
