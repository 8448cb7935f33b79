// NumPy arrays as passed to and from the core: contiguous and of the right dtype. The Python layer ensures this;
// anything else is rejected here.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fastpolysem/infra/dtype.hpp"
#include "fastpolysem/infra/matrix.hpp"
#include "fastpolysem/sampling/inputs.hpp"

namespace fastpolysem::bindings {

namespace py = pybind11;
using namespace pybind11::literals;

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Shape = std::vector<py::ssize_t>;

// The entries of an array, valid as long as `array` lives.
template <class T>
const T* entries(const py::handle& array) {
    if (!py::isinstance<Array<T>>(array))
        throw py::type_error("the core takes contiguous arrays of " + std::string(py::str(py::dtype::of<T>())) +
                             ", got " + std::string(py::str(py::type::handle_of(array))));
    return static_cast<const T*>(py::reinterpret_borrow<py::array>(array).data());
}
template <class T>
const T* entries_or_null(const py::object& array) {
    return array.is_none() ? nullptr : entries<T>(array);
}

// ... and of an array created here.
template <class T>
T* fresh_or_null(const py::object& array) {
    return array.is_none() ? nullptr : static_cast<T*>(py::reinterpret_borrow<py::array>(array).mutable_data());
}

// Calls body(T{}) with the settings' number type.
template <class Settings, class Body>
auto with_dtype(const Settings& s, Body body) {
    return s.dtype == Dtype::float32 ? body(float{}) : body(double{});
}

// An array with get(row) for each row.
template <class Row, class Get>
auto column_of(std::vector<Row>& rows, Get get) {
    using V = std::decay_t<decltype(get(rows[0]))>;
    Array<V> column(py::ssize_t(rows.size()));
    std::transform(rows.begin(), rows.end(), column.mutable_data(), get);
    return column;
}

// Copies; a single row may have one dimension.
template <class T>
Matrix<T> matrix_of(const py::handle& array) {
    const auto a = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(array);
    if (!a) throw py::type_error("not an array");
    const bool row = a.ndim() == 1;
    Matrix<T> m(row ? 1 : a.shape(0), a.shape(row ? 0 : 1));
    m.copy_from(a.data());
    return m;
}

template <class T>
Array<T> array_of(const Matrix<T>& m) {
    Array<T> a(Shape{m.rows, m.columns});
    m.copy_to(a.mutable_data());
    return a;
}

// (row_start, feature, value)
inline SparseBatch batch_of(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                            const Array<double>& values) {
    SparseBatch b;
    b.row_start.assign(indptr.data(), indptr.data() + indptr.size());
    b.feature.assign(indices.data(), indices.data() + indices.size());
    b.value.assign(values.data(), values.data() + values.size());
    return b;
}

}  // namespace fastpolysem::bindings
