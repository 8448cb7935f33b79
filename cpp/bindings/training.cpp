#include "training.hpp"

#include "fastpolysem/training/pool.hpp"

namespace fastpolysem::bindings {

int threads_to_use(int wanted) {
    const int there = training::startable_threads(wanted);
    const std::string message = "train: " + std::to_string(there) + " of " + std::to_string(wanted) +
                                " threads can be started (a limit on processes or memory); training uses these";
    if (there < wanted && PyErr_WarnEx(PyExc_RuntimeWarning, message.c_str(), 1) != 0) throw py::error_already_set();
    return there;
}

}  // namespace fastpolysem::bindings
