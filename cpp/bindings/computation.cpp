#include "computation.hpp"

#include <chrono>
#include <thread>

#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

namespace fastpolysem::bindings {

// Before Python 3.14, a daemon thread that requests the GIL during interpreter shutdown is unwound by the C library
// through frames that cannot be unwound: OpenMP's, and frames whose objects hold references. Such a thread therefore
// blocks here. Later versions of Python block it as well.
#ifdef __GLIBCXX__
#define FASTPOLYSEM_CATCH_THE_END         \
    catch (const abi::__forced_unwind&) { \
        wait_for_the_end();               \
    }
#else
#define FASTPOLYSEM_CATCH_THE_END \
    catch (...) {                 \
        throw;                    \
    }
#endif

Computation::Computation(pybind11::handle progress) : state_(PyEval_SaveThread()) {
    source.interrupted = [this] { return with_python([] { return PyErr_CheckSignals() != 0; }); };
    if (!progress.is_none())
        source.report = [this, progress](std::int64_t done) {
            return with_python([=] {
                PyObject* const result = PyObject_CallFunction(progress.ptr(), "L", static_cast<long long>(done));
                Py_XDECREF(result);
                return result != nullptr;
            });
        };
}

void Computation::end() {
    try {
        PyEval_RestoreThread(state_);
    }
    FASTPOLYSEM_CATCH_THE_END
}

// Plain C calls only: no object may be destroyed without the GIL. An error stays set until the end.
template <class Body>
bool Computation::with_python(Body body) {
    try {
        PyEval_RestoreThread(state_);
        bool result = false;
        {
            const FloatEnvironment::Lifted lifted(environment_);
            result = body();
        }
        PyEval_SaveThread();
        return result;
    }
    FASTPOLYSEM_CATCH_THE_END
}

void Computation::wait_for_the_end() {
    source.stop = true;  // stops the other threads
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace fastpolysem::bindings
