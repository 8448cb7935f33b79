// What each file in this folder adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace fastpolysem::bindings {

void add_information(pybind11::module_& m);           // information.cpp
void add_settings(pybind11::module_& m);              // autoencoder_settings.cpp
void add_training(pybind11::module_& m);              // autoencoder_training.cpp
void add_objective(pybind11::module_& m);             // autoencoder_objective.cpp
void add_draws(pybind11::module_& m);                 // autoencoder_draws.cpp
void add_encoding(pybind11::module_& m);              // encoding.cpp
void add_random(pybind11::module_& m);                // random.cpp
void add_network_settings(pybind11::module_& m);      // network_settings.cpp
void add_network_training(pybind11::module_& m);      // network_training.cpp
void add_network_objective(pybind11::module_& m);     // network_objective.cpp
void add_network_draws(pybind11::module_& m);         // network_draws.cpp
void add_network_measures(pybind11::module_& m);      // network_measures.cpp
void add_primitives_for_tests(pybind11::module_& m);  // testing.cpp
void add_networks_for_tests(pybind11::module_& m);    // network_testing.cpp, into the submodule of the former

}  // namespace fastpolysem::bindings
