// The autoencoder's settings as a Python class. Names are checked here, numbers in Python.
#include "fastpolysem/models/autoencoder/model/settings.hpp"
#include "module.hpp"
#include "properties.hpp"

namespace fastpolysem::bindings {
namespace {

using autoencoder::Settings;

void add_real(py::class_<Settings>& c, const char* name, double NoiseSettings::* member) {
    c.def_property(
        name, [member](const Settings& s) { return s.noise.*member; },
        [member](Settings& s, double value) { s.noise.*member = value; });
}

}  // namespace

void add_settings(py::module_& m) {
    py::class_<Settings> c(m, "Settings", py::module_local());
    c.def(py::init<>());
    c.def_readwrite("n_features", &Settings::n_features)
        .def_readwrite("n_hidden", &Settings::n_hidden)
        .def_readwrite("l1", &Settings::l1)
        .def_readwrite("repulsion", &Settings::repulsion)
        .def_readwrite("dropout", &Settings::dropout)
        .def_readwrite("init_scale", &Settings::init_scale)
        .def_readwrite("tied", &Settings::tied)
        .def_readwrite("bias", &Settings::bias)
        .def_readwrite("probability", &Settings::probability)
        .def_readwrite("batch_size", &Settings::batch_size)
        .def_readwrite("blocks", &Settings::blocks)
        .def_readwrite("active", &Settings::active)
        .def_readwrite("low", &Settings::low)
        .def_readwrite("high", &Settings::high);
    add_optimizer(c);
    add_choice(c, "second_moment", [](auto& s) -> auto& { return s.second_moment; });
    add_choice(c, "l1_target", [](auto& s) -> auto& { return s.l1_target; });
    add_choice(c, "noise_sharing", [](auto& s) -> auto& { return s.noise_sharing; });
    add_choice(c, "dropout_sharing", [](auto& s) -> auto& { return s.dropout_sharing; });
    add_choice(c, "stop", [](auto& s) -> auto& { return s.stop; });
    add_choice(c, "init", [](auto& s) -> auto& { return s.init; });
    add_choice(c, "activation", [](auto& s) -> auto& { return s.activation; });
    add_choice(c, "inputs", [](auto& s) -> auto& { return s.inputs; });
    add_choices(c, "magnitude", &Settings::magnitude);
    add_choice(c, "dtype", [](auto& s) -> auto& { return s.dtype; });
    add_choice(c, "noise", [](auto& s) -> auto& { return s.noise.kind; });
    add_real(c, "noise_std", &NoiseSettings::deviation);
    add_real(c, "noise_shape", &NoiseSettings::shape);
    add_schedule(c, "l1_schedule", &Settings::l1_schedule);
    c.def_property(
        "importance",
        [](const Settings& s) -> py::object {
            return s.importance.empty() ? py::object(py::none()) : py::cast(s.importance);
        },
        [](Settings& s, const std::optional<std::vector<double>>& value) {
            s.importance = value.value_or(std::vector<double>{});
        });
    c.def(
        "set_fixed_batch",
        [](Settings& s, const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
           const Array<double>& values) {
            s.fixed_batch = std::make_shared<SparseBatch>(batch_of(indptr, indices, values));
            s.batch_size = s.fixed_batch->rows();
            s.inputs = Inputs::fixed;
        },
        "indptr"_a, "indices"_a, "values"_a);
}

}  // namespace fastpolysem::bindings
