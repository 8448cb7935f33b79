// Information about this build and this machine.
#include <pybind11/stl.h>

#include <Eigen/Core>
#include <string>

#include "computation.hpp"
#include "fastpolysem/linalg/peak.hpp"
#include "fastpolysem/models/autoencoder/model/settings.hpp"
#include "fastpolysem/training/pool.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

namespace py = pybind11;

py::dict info() {
    py::dict d;
    d["isa"] = FASTPOLYSEM_ISA;
    d["vector_bytes"] = simd::bytes;
#if defined(__clang__)
    d["compiler"] = "clang " __clang_version__;
#else
    d["compiler"] = "gcc " __VERSION__;
#endif
#ifdef _OPENMP
    d["openmp"] = _OPENMP;
#else
    d["openmp"] = py::none();
#endif
    d["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                 std::to_string(EIGEN_MINOR_VERSION);
    d["version"] = FASTPOLYSEM_VERSION;
    return d;
}

double peak() {
    double result = 0;
    compute([&](StopToken&) { result = fma_peak<float>(); });
    return result;
}

}  // namespace

void add_information(py::module_& m) {
    m.attr("NUMERICS_VERSION") = autoencoder::numerics_version;
    m.attr("__version__") = FASTPOLYSEM_VERSION;
    m.def("info", &info);
    m.def("fma_peak", &peak);
    m.def("default_threads", &training::default_threads);
}

}  // namespace fastpolysem::bindings
