// A network's settings as a Python class. Names are checked here, numbers in Python.
#include <stdexcept>

#include "module.hpp"
#include "network_arrays.hpp"
#include "properties.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace network;
using Class = py::class_<network::Settings>;

// A property with one value for each of the first count(settings) layers; member(layer) is the value and V its Python
// type. `widths` must be set first.
template <class V, class Count, class Member>
void add_layers(Class& c, const char* name, Count count, Member member) {
    c.def_property(
        name,
        [=](const Settings& s) {
            std::vector<V> values;
            for (std::size_t l = 0; l < count(s); ++l) values.push_back(member(const_cast<Layer&>(s.layers[l])));
            return values;
        },
        [=](Settings& s, const std::vector<V>& values) {
            if (values.size() != count(s))
                throw std::invalid_argument(std::string(name) + " must have " + std::to_string(count(s)) +
                                            " values, got " + std::to_string(values.size()));
            for (std::size_t l = 0; l < values.size(); ++l) member(s.layers[l]) = values[l];
        });
}

void set_widths(Settings& s, const std::vector<std::int64_t>& widths) {
    if (widths.size() < 2) throw std::invalid_argument("widths must have 2 or more values");
    s.layers.assign(widths.size() - 1, Layer());
    for (std::size_t l = 0; l < s.layers.size(); ++l) {
        s.layers[l].inputs = widths[l];
        s.layers[l].outputs = widths[l + 1];
    }
    s.layers.back().activation = Activation::linear;
}
std::vector<std::int64_t> widths_of(const Settings& s) {
    std::vector<std::int64_t> widths;
    for (const Layer& layer : s.layers) widths.push_back(layer.inputs);
    widths.push_back(s.n_outputs());
    return widths;
}

template <class T>
std::shared_ptr<const network::Table<T>> table_of(const Settings& s, const Array<std::int64_t>& indptr,
                                                  const Array<std::int32_t>& indices, const Array<double>& values,
                                                  const py::object& targets) {
    auto table = std::make_shared<network::Table<T>>();
    table->rows = indptr.size() - 1;
    table->sparse.row_start.assign(indptr.data(), indptr.data() + indptr.size());
    table->sparse.feature.assign(indices.data(), indices.data() + indices.size());
    table->sparse.value.assign(values.data(), values.data() + values.size());
    if (py::isinstance<Array<std::int32_t>>(targets)) {
        const auto* labels = entries<std::int32_t>(targets);
        table->labels.assign(labels, labels + table->rows);
    } else if (!targets.is_none()) {
        table->targets = targets_from<T>(targets, table->rows, s.n_outputs());
    }
    network::complete(s, *table);
    return table;
}

// The rows of a data set; to be set after everything that determines their targets.
void set_rows(Settings& s, const std::string& which, const Array<std::int64_t>& indptr,
              const Array<std::int32_t>& indices, const Array<double>& values, const py::object& targets) {
    const FloatEnvironment environment;  // numbers are rounded
    with_dtype(s, [&](auto type) {
        using T = decltype(type);
        auto& place = which == "held_out" ? s.shared<T>().held_out : s.shared<T>().data;
        place = table_of<T>(s, indptr, indices, values, targets);
    });
}

void add_layer_settings(Class& c) {
    const auto layers = [](const Settings& s) { return s.layers.size(); };
    const auto hidden = [](const Settings& s) { return s.hidden(); };
    c.def_property("widths", &widths_of, &set_widths);
    add_layers<double>(c, "noise_std", hidden, [](Layer& a) -> auto& { return a.noise_std; });
    add_layers<double>(c, "dropout", hidden, [](Layer& a) -> auto& { return a.dropout; });
    add_layers<bool>(c, "bias", layers, [](Layer& a) -> auto& { return a.bias; });
    add_layers<double>(c, "bias_start", layers, [](Layer& a) -> auto& { return a.bias_start; });
    add_layers<bool>(c, "frozen", layers, [](Layer& a) -> auto& { return a.frozen; });
    add_layers<double>(c, "l1", [](const Settings& s) { return s.matrices(); }, [](Layer& a) -> auto& { return a.l1; });
    add_layers<double>(c, "l1_activations", hidden, [](Layer& a) -> auto& { return a.l1_activations; });
    c.def_property(
        "activation",
        [](const Settings& s) {
            std::vector<std::string> names;
            for (std::size_t l = 0; l < s.hidden(); ++l) names.emplace_back(name_of(s.layers[l].activation));
            return names;
        },
        [](Settings& s, const std::vector<std::string>& names) {
            if (names.size() != s.hidden()) throw std::invalid_argument("activation must have a name per hidden layer");
            for (std::size_t l = 0; l < names.size(); ++l)
                s.layers[l].activation = parse<Activation>("activation", names[l]);
        });
    c.def_property(
        "residual",  // numbers of layers, from 1
        [](const Settings& s) {
            std::vector<std::size_t> numbers;
            for (std::size_t l = 0; l < s.hidden(); ++l)
                if (s.layers[l].residual) numbers.push_back(l + 1);
            return numbers;
        },
        [](Settings& s, const std::vector<std::size_t>& numbers) {
            for (const std::size_t number : numbers) s.layers.at(number - 1).residual = true;
        });
}

}  // namespace

void add_network_settings(py::module_& m) {
    Class c(m, "NetworkSettings", py::module_local());
    c.def(py::init<>());
    c.def_readwrite("tied", &Settings::tied)
        .def_readwrite("power", &Settings::power)
        .def_readwrite("importance", &Settings::importance)
        .def_readwrite("clauses", &Settings::formulas)
        .def_readwrite("batch_size", &Settings::batch_size)
        .def_readwrite("probability", &Settings::probability)
        .def_readwrite("blocks", &Settings::blocks)
        .def_readwrite("active", &Settings::active)
        .def_readwrite("full_batch", &Settings::full_batch)
        .def_readwrite("label_noise", &Settings::label_noise)
        .def_readwrite("noise_shape", &Settings::noise_shape)
        .def_readwrite("reads", &Settings::reads)
        .def_readwrite("init_scale", &Settings::init_scale);
    add_optimizer(c);
    add_choice(c, "output", [](auto& s) -> auto& { return s.layers.back().activation; });
    add_choice(c, "loss", [](auto& s) -> auto& { return s.loss; });
    add_choice(c, "target", [](auto& s) -> auto& { return s.target; });
    add_choice(c, "inputs", [](auto& s) -> auto& { return s.inputs; });
    add_choice(c, "noise", [](auto& s) -> auto& { return s.noise; });
    add_choice(c, "noise_sharing", [](auto& s) -> auto& { return s.noise_sharing; });
    add_choice(c, "dropout_sharing", [](auto& s) -> auto& { return s.dropout_sharing; });
    add_choice(c, "readout", [](auto& s) -> auto& { return s.readout; });
    add_choice(c, "init", [](auto& s) -> auto& { return s.init; });
    add_choice(c, "dtype", [](auto& s) -> auto& { return s.dtype; });
    add_layer_settings(c);
    add_choices(c, "magnitude", &Settings::magnitude);
    add_schedule(c, "l1_schedule", &Settings::l1_schedule);
    add_schedule(c, "bias_decay", &Settings::bias_decay);
    c.def("set_rows", &set_rows, "which"_a, "indptr"_a, "indices"_a, "values"_a, "targets"_a);
}

}  // namespace fastpolysem::bindings
