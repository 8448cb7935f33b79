// What all families' training calls have in common: arrays of weights by name, threads, tables of results.
#pragma once

#include <algorithm>

#include "arrays.hpp"
#include "computation.hpp"
#include "fastpolysem/training/columns.hpp"
#include "fastpolysem/training/kernels.hpp"

namespace fastpolysem::bindings {

// Where a task reads its initial weights and writes its final ones: arrays by name.
template <class Model>
void set_weights(training::TrainingTask<Model>& task, const py::dict& initial, bool return_weights,
                 py::dict& final_weights) {
    using T = typename Model::Number;
    typename Model::Parameters none;
    for (const Parameter<T>& p : none.list(task.settings)) {
        const py::str name(p.name);
        if (!initial.empty())
            task.initial_weights.push_back(initial.contains(name) ? entries<T>(initial[name]) : nullptr);
        if (!return_weights) continue;
        Array<T> array(p.is_vector ? Shape{task.count, p.columns} : Shape{task.count, p.rows, p.columns});
        task.final_weights.push_back(array.mutable_data());
        final_weights[name] = array;
    }
}

// The number of threads that can be started; warns if it is smaller than requested.
int threads_to_use(int wanted);

template <class Outcome>
py::dict table_of(const std::vector<training::Column<Outcome>>& columns, std::vector<Outcome>& outcomes) {
    py::dict table;
    for (const auto& column : columns)
        std::visit([&](const auto& value) { table[py::str(column.name)] = column_of(outcomes, value); }, column.value);
    return table;
}

struct TrainingCall {
    const Array<std::uint64_t>& seeds;
    const py::dict& initial_weights;
    const std::vector<std::string>& metrics;
    const Array<std::int64_t>& record_steps;
    bool return_weights;
    int num_threads;
    const std::string& kernel;
    const py::object& progress;
};

// Trains with the requested kernel. The task contains its settings; the family provides metric_of(name) and
// prepare(source), which is called without the GIL.
template <template <class> class Model, class T, class MetricOf, class Prepare>
py::dict train_task(training::TrainingTask<Model<T>>& task, const training::KernelTable<Model>& kernels,
                    const std::vector<training::Column<typename Model<T>::Outcome>>& columns, const TrainingCall& call,
                    MetricOf metric_of, Prepare prepare) {
    task.seeds = call.seeds.data();
    task.count = call.seeds.size();
    task.record_steps.assign(call.record_steps.data(), call.record_steps.data() + call.record_steps.size());
    std::vector<typename Model<T>::Outcome> outcomes(static_cast<std::size_t>(task.count));
    task.outcomes = outcomes.data();
    py::dict history, weights;
    for (const auto& name : call.metrics) {
        task.metrics.push_back(metric_of(name));
        Array<double> column(Shape{task.count, call.record_steps.size()});
        task.history.push_back(column.mutable_data());
        history[py::str(name)] = column;
    }
    set_weights(task, call.initial_weights, call.return_weights, weights);
    const auto& chosen = kernels.choose(task.settings, call.kernel, task.count);
    const std::int64_t width = chosen.width(sizeof(T) == 8), groups = (task.count + width - 1) / width;
    task.threads = threads_to_use(int(std::min<std::int64_t>(call.num_threads, std::max<std::int64_t>(groups, 1))));

    compute(call.progress, [&](StopSource& source) {
        prepare(source);
        if (!source.stop) chosen.train(task, source);
    });

    py::dict result = table_of(columns, outcomes);
    result["history"] = history;
    result["kernel"] = chosen.name;
    result["weights"] = weights;
    return result;
}

}  // namespace fastpolysem::bindings
