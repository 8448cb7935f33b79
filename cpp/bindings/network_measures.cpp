// Which concepts use which neurons, for weights supplied by the user.
#include "computation.hpp"
#include "fastpolysem/models/network/measures/use.hpp"
#include "module.hpp"
#include "network_arrays.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace network;

template <class V>
Array<V> copied(const std::vector<V>& values) {
    Array<V> array(std::ptrdiff_t(values.size()));
    std::copy(values.begin(), values.end(), array.mutable_data());
    return array;
}

// The rows on which the columns of results are measured: (row_start, feature, value) in double, with their classes, or
// with their targets where these are not an elementwise function of the inputs, or None.
py::tuple evaluation(const Settings& given) {
    return with_dtype(given, [&](auto type) -> py::tuple {
        using T = decltype(type);
        Settings s = given;
        std::vector<std::int64_t> row_start = {0};
        std::vector<std::int32_t> feature, labels;
        std::vector<double> value;
        std::vector<double> wanted;
        compute([&](StopToken& stop) {
            make_shared_tables<T>(s, stop);
            if (stop.stopped()) return;
            Step<T> step;
            step.show(*s.shared<T>().evaluation);
            for (const std::int32_t row : measured_order(s, step.rows)) {
                step.each_input(row, [&](std::int32_t i, T x) {
                    feature.push_back(i);
                    value.push_back(double(x));
                });
                row_start.push_back(std::int64_t(feature.size()));
                if (step.labels) labels.push_back(step.labels[row]);
                if (step.targets)
                    wanted.insert(wanted.end(), step.targets->row(row), step.targets->row(row) + s.n_outputs());
            }
        });
        py::object targets = py::none();
        if (!labels.empty()) targets = copied(labels);
        if (!wanted.empty())
            targets = copied(wanted).attr("reshape")(std::ptrdiff_t(row_start.size()) - 1, s.n_outputs());
        return py::make_tuple(py::make_tuple(copied(row_start), copied(feature), copied(value)), targets);
    });
}

template <class T>
network::Table<T> complete_table(const py::tuple& batch, const py::object& targets, Settings& s) {
    const FloatEnvironment environment;
    network::Table<T> table = batch_table<T>(batch);
    read_targets(targets, s, table);
    complete(s, table);
    return table;
}

// The concepts of the task: (row_start, concept, output of each concept).
py::tuple concepts(const Settings& given, const py::tuple& batch, const py::object& targets) {
    return with_dtype(given, [&](auto type) -> py::tuple {
        using T = decltype(type);
        Settings s = given;
        const network::Table<T> table = complete_table<T>(batch, targets, s);
        if (given.target != Target::given) s.target = given.target;  // otherwise the concepts are those of the task
        Step<T> step;
        step.show(table);
        const Concepts found = own_concepts(s, step);
        return py::make_tuple(copied(found.row_start), copied(found.index), copied(found.output));
    });
}

Concepts concepts_from(const py::tuple& given) {
    Concepts found;
    const auto row_start = given[0].cast<Array<std::int64_t>>();
    const auto index = given[1].cast<Array<std::int32_t>>(), output = given[2].cast<Array<std::int32_t>>();
    found.row_start.assign(row_start.data(), row_start.data() + row_start.size());
    found.index.assign(index.data(), index.data() + index.size());
    found.output.assign(output.data(), output.data() + output.size());
    return found;
}

// loss (S, C), constant_loss (C), rows (C), and for each hidden layer means (S, d_l) and rises (S, d_l, C).
py::dict use(const Settings& given, const py::dict& parameters, const py::tuple& batch, const py::object& targets,
             const py::tuple& given_concepts, const std::vector<std::vector<std::uint8_t>>& held) {
    return with_dtype(given, [&](auto type) {
        using T = decltype(type);
        Settings s = given;
        const network::Table<T> table = complete_table<T>(batch, targets, s);
        Models<T> models(s, parameters);
        Concepts found = concepts_from(given_concepts);
        const std::ptrdiff_t count = found.count();
        Array<double> loss(Shape{models.count, count});
        double* const losses = loss.mutable_data();
        py::list means, rises;
        std::vector<double*> mean_of, rise_of;
        for (std::size_t l = 0; l < s.hidden(); ++l) {
            Array<double> mean(Shape{models.count, s.layers[l].outputs});
            Array<double> rise(Shape{models.count, s.layers[l].outputs, count});
            mean_of.push_back(mean.mutable_data());
            rise_of.push_back(rise.mutable_data());
            means.append(mean);
            rises.append(rise);
        }
        compute([&](StopToken& stop) {
            Step<T> step;
            step.show(table);
            complete(s, step, found, stop);
            Use<T> measure(s);
            for (std::int64_t i = 0; i < models.count && !stop.stopped(); ++i) {
                models.read(i);
                measure(models.weights, step, found, held, stop,
                        [&](std::size_t l, std::ptrdiff_t k, const double* rise) {
                            std::copy_n(rise, count, rise_of[l] + (i * s.layers[l].outputs + k) * count);
                        });
                if (stop.stopped()) return;
                std::copy(measure.loss.begin(), measure.loss.end(), losses + i * count);
                for (std::size_t l = 0; l < s.hidden(); ++l)
                    std::copy(measure.means[l].begin(), measure.means[l].end(), mean_of[l] + i * s.layers[l].outputs);
            }
        });
        py::dict result;
        result["loss"] = loss;
        result["constant_loss"] = copied(found.constant_loss);
        result["rows"] = copied(found.rows);
        result["means"] = means;
        result["rises"] = rises;
        return result;
    });
}

}  // namespace

void add_network_measures(py::module_& m) {
    m.def("network_evaluation", &evaluation, "settings"_a);
    m.def("network_concepts", &concepts, "settings"_a, "batch"_a, "targets"_a);
    m.def("network_use", &use, "settings"_a, "parameters"_a, "batch"_a, "targets"_a, "concepts"_a, "held"_a);
}

}  // namespace fastpolysem::bindings
