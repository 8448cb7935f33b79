// Orthonormal rows or columns.
#pragma once

#include <algorithm>
#include <cmath>

#include "fastpolysem/infra/matrix.hpp"
#include "fastpolysem/infra/stop_token.hpp"

namespace fastpolysem {

// Orthonormalises the rows of w (modified Gram-Schmidt in double), or its columns if there are more rows than columns.
// The vectors are interleaved in memory, so that all inner products advance together, each as its own chain.
template <class T>
void orthonormalise(Matrix<T>& w, StopToken* stop) {
    using P = simd::Pack<double>;
    const bool by_rows = w.columns >= w.rows;
    const std::ptrdiff_t count = by_rows ? w.rows : w.columns, length = by_rows ? w.columns : w.rows;
    const auto entry = [&](std::ptrdiff_t vector, std::ptrdiff_t k) -> T& {
        return by_rows ? w.row(vector)[k] : w.row(k)[vector];
    };
    Matrix<double> v(length, count), products(1, count);
    for (std::ptrdiff_t k = 0; k < length; ++k)
        for (std::ptrdiff_t i = 0; i < count; ++i) v.row(k)[i] = double(entry(i, k));
    for (std::ptrdiff_t i = 0; i < count; ++i) {
        if (stop && stop->stopped()) return;
        const std::ptrdiff_t from = i / P::width * P::width;  // earlier vectors are done; their lanes are ignored
        products.clear();
        for (std::ptrdiff_t k = 0; k < length; ++k)
            for (std::ptrdiff_t j = from; j < v.stride; j += P::width)
                simd::fma(P::all(v.row(k)[i]), P::load(v.row(k) + j), P::load(products.row(0) + j))
                    .store(products.row(0) + j);
        const double square = products.row(0)[i], norm = std::sqrt(square);
        for (std::ptrdiff_t j = 0; j < v.stride; ++j) products.row(0)[j] = j > i ? -products.row(0)[j] / square : 0;
        for (std::ptrdiff_t k = 0; k < length; ++k) {
            const P own = P::all(v.row(k)[i]);
            for (std::ptrdiff_t j = from; j < v.stride; j += P::width)
                simd::fma(P::load(products.row(0) + j), own, P::load(v.row(k) + j)).store(v.row(k) + j);
            v.row(k)[i] = own[0] / norm;
        }
    }
    for (std::ptrdiff_t k = 0; k < length; ++k)
        for (std::ptrdiff_t i = 0; i < count; ++i) entry(i, k) = T(float(v.row(k)[i]));
}

// Temporary memory it needs.
inline double orthonormalise_bytes(std::ptrdiff_t rows, std::ptrdiff_t columns) {
    const auto [shorter, longer] = std::minmax(rows, columns);
    return Matrix<double>::bytes(longer, shorter) + Matrix<double>::bytes(1, shorter);
}

}  // namespace fastpolysem
