// What the tests of the networks' core call: elementary functions, single passes, short runs, timings. Not installed.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "fastpolysem/math/elementary.hpp"

namespace py = pybind11;
using namespace fastpolysem;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
simd::Pack<T> call(const std::string& name, simd::Pack<T> x) {
    if (name == "exp") return math::exp(x);
    if (name == "log") return math::log(x);
    if (name == "log1p") return math::log1p(x);
    if (name == "tanh") return math::tanh(x);
    if (name == "erf") return math::erf(x);
    throw py::value_error("no function " + name);
}

template <class T>
Array<T> elementary(const std::string& name, const Array<T>& x) {
    using P = simd::Pack<T>;
    Array<T> y(x.size());
    for (py::ssize_t i = 0; i < x.size(); i += P::width) {
        T lanes[P::width] = {};
        const auto count = std::size_t(std::min<py::ssize_t>(P::width, x.size() - i)) * sizeof(T);
        std::memcpy(lanes, x.data() + i, count);
        call<T>(name, P::load(lanes)).store(lanes);
        std::memcpy(y.mutable_data() + i, lanes, count);
    }
    return y;
}

}  // namespace

PYBIND11_MODULE(FASTPOLYSEM_MODULE, m) {
    m.def("elementary_f32", &elementary<float>);
    m.def("elementary_f64", &elementary<double>);
    m.def("cos_pi", py::vectorize(&math::cos_pi));
}
