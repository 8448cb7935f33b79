// Training, and the counts of weights of any origin.
#include "arrays.hpp"
#include "computation.hpp"
#include "fastpolysem/models/autoencoder/kernels/table.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace autoencoder;

Shape shape_of(py::ssize_t count, py::ssize_t rows, py::ssize_t columns, bool is_vector) {
    return is_vector ? Shape{count, columns} : Shape{count, rows, columns};
}

// Where a task finds its initial weights and puts its final ones: arrays by name.
template <class T>
void set_weights(Task<T>& task, const py::dict& initial, bool return_weights, py::dict& final_weights) {
    Parameters<T> none;
    for (const Parameter<T>& p : none.list(task.settings)) {
        const py::str name(p.name);
        if (!initial.empty())
            task.initial_weights.push_back(initial.contains(name) ? entries<T>(initial[name]) : nullptr);
        if (!return_weights) continue;
        Array<T> array(shape_of(task.count, p.rows, p.columns, p.is_vector));
        task.final_weights.push_back(array.mutable_data());
        final_weights[name] = array;
    }
}

int threads_to_use(int wanted) {
    const int there = training::startable_threads(wanted);
    const std::string message = "train: " + std::to_string(there) + " of " + std::to_string(wanted) +
                                " threads can be started (a limit on processes or memory); training uses these";
    if (there < wanted && PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) != 0) throw py::error_already_set();
    return there;
}

py::dict table_of(std::vector<Outcome>& outcomes) {
    py::dict table;
    for (const auto& column : columns())
        std::visit([&](const auto& value) { table[py::str(column.name)] = column_of(outcomes, value); }, column.value);
    return table;
}

template <class T>
py::dict train_as(const Settings& s, const Array<std::uint64_t>& seeds, const py::dict& initial_weights,
                  const py::object& noise_sequence, const std::vector<std::string>& metrics,
                  const Array<std::int64_t>& record_steps, bool return_weights, int num_threads,
                  const std::string& kernel, const py::object& progress) {
    Task<T> task;
    task.settings = s;
    task.seeds = seeds.data();
    task.count = seeds.size();
    task.record_steps.assign(record_steps.data(), record_steps.data() + record_steps.size());
    std::vector<Outcome> outcomes(static_cast<std::size_t>(task.count));
    task.outcomes = outcomes.data();
    py::dict history, weights;
    for (const auto& name : metrics) {
        task.metrics.push_back(parse<Metric>("metrics", name));
        Array<double> column(Shape{task.count, record_steps.size()});
        task.history.push_back(column.mutable_data());
        history[py::str(name)] = column;
    }
    set_weights(task, initial_weights, return_weights, weights);
    task.given.data = entries_or_null<T>(noise_sequence);
    if (task.given.data) task.given.sets = py::reinterpret_borrow<py::array>(noise_sequence).shape(0);
    const KernelEntry& chosen = kernels().choose(s, kernel, task.count);
    const std::int64_t width = chosen.width(s.dtype == Dtype::float64), groups = (task.count + width - 1) / width;
    task.threads = threads_to_use(int(std::min<std::int64_t>(num_threads, std::max<std::int64_t>(groups, 1))));

    compute(progress, [&](StopSource& source) { chosen.train(task, source); });

    py::dict result = table_of(outcomes);
    result["history"] = history;
    result["kernel"] = chosen.name;
    result["weights"] = weights;
    return result;
}

py::dict train(const Settings& s, const Array<std::uint64_t>& seeds, const py::dict& initial_weights,
               const py::object& noise_sequence, const std::vector<std::string>& metrics,
               const Array<std::int64_t>& record_steps, bool return_weights, int num_threads, const std::string& kernel,
               const py::object& progress) {
    return with_dtype(s, [&](auto type) {
        return train_as<decltype(type)>(s, seeds, initial_weights, noise_sequence, metrics, record_steps,
                                        return_weights, num_threads, kernel, progress);
    });
}

// In bytes; sizes beyond 2^62 are all the same.
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
    compute([&] {
        for (Outcome& row : rows) {
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
