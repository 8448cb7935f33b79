// Weights before the first step, from the seed's streams.
#pragma once

#include <algorithm>
#include <cmath>

#include "fastpolysem/models/autoencoder/model/parameters.hpp"
#include "fastpolysem/random/distributions.hpp"

namespace fastpolysem::autoencoder {

// Makes the rows of w orthonormal (modified Gram-Schmidt in double), or its columns if there are more rows than
// columns. Stored with the vectors side by side, so that all inner products advance together, each a chain of its own.
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

// What drawing takes for a while: the orthonormal vectors.
inline double draw_start_bytes(const Settings& s) {
    if (s.init != Init::orthogonal) return 0;
    const auto [shorter, longer] = std::minmax(s.n_features, s.n_hidden);
    return Matrix<double>::bytes(longer, shorter) + Matrix<double>::bytes(1, shorter);
}

template <class T>
void draw_start(const Settings& s, std::uint64_t seed, Kind kind, Matrix<T>& w, StopToken* stop) {
    const std::int64_t n = s.n_features, m = s.n_hidden;
    const random::StreamPosition from = stream(s, seed, kind, 0, stop);
    std::int64_t row = 0, column = 0;
    const auto put = [&](std::int64_t, float x) {
        w.row(row)[column] = T(x);
        if (++column == m) column = 0, ++row;
    };
    double factor = s.init_scale;
    if (s.init == Init::uniform) {
        factor *= std::sqrt(3.0 / double(m));
        random::for_each_element(
            from, n * m,
            [](const auto& words) {
                std::array<random::Real, 4> z;
                for (std::size_t i = 0; i < 4; ++i) z[i] = random::signed_unit(words[i]);
                return z;
            },
            put);
    } else {
        random::for_each_element(from, n * m, random::normals, put);
        if (s.init == Init::normal) factor *= std::sqrt(1.0 / double(m));
        if (s.init == Init::xavier) factor *= std::sqrt(2.0 / double(n + m));
        if (s.init == Init::orthogonal) orthonormalise(w, stop);
    }
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t k = 0; k < m; ++k) w.row(i)[k] = T(float(w.row(i)[k]) * float(factor));
}

// Padding is left as it is.
template <class T>
void draw_start(const Settings& s, std::uint64_t seed, Parameters<T>& w, StopToken* stop = nullptr) {
    draw_start(s, seed, encoder_start, w.encoder, stop);
    if (!s.tied) draw_start(s, seed, decoder_start, w.decoder, stop);
    w.bias.clear();
}

// Compiled once, in initial.cpp.
extern template void draw_start(const Settings&, std::uint64_t, Parameters<float>&, StopToken*);
extern template void draw_start(const Settings&, std::uint64_t, Parameters<double>&, StopToken*);

}  // namespace fastpolysem::autoencoder
