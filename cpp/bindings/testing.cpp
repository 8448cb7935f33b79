// Primitives on which results depend, exposed separately for the package's tests.
#include "arrays.hpp"
#include "computation.hpp"
#include "fastpolysem/infra/pace.hpp"
#include "fastpolysem/linalg/product.hpp"
#include "fastpolysem/linalg/transpose.hpp"
#include "fastpolysem/training/pool.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

// of(e) for each whole vector, at entry e, of arrays whose size is a multiple of 64 bytes.
template <class T, class Of>
Array<T> by_vectors(const Array<T>& a, Of of) {
    Array<T> result(a.size());
    for (py::ssize_t i = 0; i < a.size(); i += simd::Pack<T>::width) of(i).store(result.mutable_data() + i);
    return result;
}

template <class T>
void add_vectors(py::module_& t) {
    using P = simd::Pack<T>;
    using A = const Array<T>&;
    const auto at = [](A a, py::ssize_t i) { return P::load(a.data() + i); };
    t.def("fma", [at](A a, A b, A c) {
        return by_vectors<T>(a, [&](py::ssize_t i) { return simd::fma(at(a, i), at(b, i), at(c, i)); });
    });
    t.def("sqrt", [at](A a) { return by_vectors<T>(a, [&](py::ssize_t i) { return simd::sqrt(at(a, i)); }); });
    t.def("abs", [at](A a) { return by_vectors<T>(a, [&](py::ssize_t i) { return simd::abs(at(a, i)); }); });
    t.def("with_sign_of", [at](A size, A a) {
        return by_vectors<T>(size, [&](py::ssize_t i) { return simd::with_sign_of(at(size, i), at(a, i)); });
    });
    t.def("greater_or_else", [at](A a, A b, A otherwise) {
        return by_vectors<T>(
            a, [&](py::ssize_t i) { return simd::select<T>(at(a, i) > at(b, i), at(a, i), at(otherwise, i)); });
    });
    t.def("nonzeros", [at](A a) {
        std::vector<T> found(std::size_t(a.size() + P::width));
        std::size_t count = 0;
        for (py::ssize_t i = 0; i < a.size(); i += P::width)
            count += std::size_t(simd::compress(simd::lanes_set<T>(at(a, i) != P::zero()), at(a, i), &found[count]));
        return Array<T>(py::ssize_t(count), found.data());
    });
}

template <class T>
void add_matrices(py::module_& t) {
    using A = const Array<T>&;
    t.def("transpose", [](A a) {
        const Matrix<T> from = matrix_of<T>(a);
        Matrix<T> to(from.columns, from.rows);
        transpose(from, to.row(0), to.stride);
        return array_of(to);
    });
    t.def("mirror_lower", [](A a) {
        Matrix<T> matrix = matrix_of<T>(a);
        mirror_lower(matrix);
        return array_of(matrix);
    });
    t.def("add_transpose", [](A a) {
        Matrix<T> sum(a.shape(0), a.shape(0));
        add_transpose(matrix_of<T>(a), sum);
        return array_of(sum);
    });
    // C + A B, or A B with None; entries below the tiles on the diagonal may be left out.
    t.def("product", [](A a, A b, const std::optional<Array<T>>& c, bool upper_only) {
        const Matrix<T> x = matrix_of<T>(a), y = matrix_of<T>(b);
        Matrix<T> to = c ? matrix_of<T>(*c) : Matrix<T>(x.rows, y.columns);
        StopSource source;
        StopToken stop(source, false);
        Product<T>()(view(x), view(y), to, x.rows, x.columns, y.columns, stop, c.has_value(), upper_only);
        return array_of(to);
    });
    // X^T Y by one tile, R x (vectors of) columns, onto C.
    t.def("tile", [](A x, A y, A c) {
        const Matrix<T> left = matrix_of<T>(x), right = matrix_of<T>(y);
        Matrix<T> to = matrix_of<T>(c);
        const auto run = to.columns == Tile<T>::columns ? &Tile<T>::template run<2> : &Tile<T>::template run<1>;
        run(int(to.rows), left.row(0), left.stride, right.row(0), right.stride, left.rows, to.row(0), to.stride, true);
        return array_of(to);
    });
}

}  // namespace

void add_primitives_for_tests(py::module_& m) {
    py::module_ t = m.def_submodule("testing", "For the package's own tests: may change without notice.");
    add_vectors<float>(t);
    add_vectors<double>(t);
    add_matrices<float>(t);
    add_matrices<double>(t);
    t.def("multiply_wide", [](const Array<std::uint32_t>& a, std::uint32_t b) {
        using random_word = simd::Pack<std::uint32_t>;
        Array<std::uint32_t> high(a.size()), low(a.size());
        for (py::ssize_t i = 0; i < a.size(); i += random_word::width) {
            random_word h, l;
            simd::multiply_wide(random_word::load(a.data() + i), b, h, l);
            h.store(high.mutable_data() + i);
            l.store(low.mutable_data() + i);
        }
        return py::make_tuple(high, low);
    });
    t.attr("tile_rows") = Tile<float>::rows;
    t.def("tile_columns", [](const Array<float>&) { return Tile<float>::columns; });
    t.def("tile_columns", [](const Array<double>&) { return Tile<double>::columns; });

    py::class_<Pace>(t, "Pace", py::module_local())
        .def(py::init<double, double, double>(), "least"_a, "most"_a, "now"_a)
        .def("due", &Pace::due)
        .def("ran", &Pace::ran);

    t.def("float_environment", &FloatEnvironment::read);
    t.def("set_float_environment", &FloatEnvironment::write);
    t.def("startable_threads", &training::startable_threads);
    add_networks_for_tests(t);
}

}  // namespace fastpolysem::bindings
