// The extension module, compiled once for each instruction set.
#include "module.hpp"

#ifndef FASTPOLYSEM_MODULE
#error "FASTPOLYSEM_MODULE names the extension module, FASTPOLYSEM_ISA its instruction set"
#endif

PYBIND11_MODULE(FASTPOLYSEM_MODULE, m, pybind11::mod_gil_not_used()) {
    using namespace fastpolysem::bindings;
    add_information(m);
    add_settings(m);
    add_training(m);
    add_objective(m);
    add_draws(m);
    add_encoding(m);
    add_random(m);
    add_network_settings(m);
    add_network_training(m);
    add_network_objective(m);
    add_network_draws(m);
    add_network_measures(m);
    add_primitives_for_tests(m);
}
