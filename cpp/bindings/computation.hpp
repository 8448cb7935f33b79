// Runs a call's work in the core: without the GIL, in the standard floating-point environment, interruptible by
// signals.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>

#include "fastpolysem/infra/float_environment.hpp"
#include "fastpolysem/infra/stop_token.hpp"

namespace fastpolysem::bindings {

class Computation {
  public:
    // Releases the GIL. progress: called with the number of finished seeds, or None.
    explicit Computation(pybind11::handle progress);
    Computation(const Computation&) = delete;
    Computation& operator=(const Computation&) = delete;

    // Reacquires the GIL; only the destructor may follow. Sets any exception that Python raised in the meantime.
    void end();

    StopSource source;

  private:
    template <class Body>
    bool with_python(Body body);
    [[noreturn]] void wait_for_the_end();

    PyThreadState* state_;
    FloatEnvironment environment_;
};

// Not inlined, so that no computation moves out of the environment that is set around it.
template <class Body>
__attribute__((noinline)) void call_apart(Body& body, StopSource& source) {
    body(source);
}

// Calls body(source), and rethrows its exception or raises that of Python.
template <class Body>
void compute(pybind11::handle progress, Body body) {
    std::exception_ptr thrown;
    {
        Computation computation(progress);
        try {
            call_apart(body, computation.source);
        } catch (...) {
            thrown = std::current_exception();
        }
        computation.end();
    }
    if (PyErr_Occurred()) throw pybind11::error_already_set();
    if (thrown) std::rethrow_exception(thrown);
}
// Calls body(stop) for work of one thread without progress.
template <class Body>
void compute(Body body) {
    compute(pybind11::none(), [&](StopSource& source) {
        StopToken stop(source, true);
        body(stop);
    });
}

}  // namespace fastpolysem::bindings
