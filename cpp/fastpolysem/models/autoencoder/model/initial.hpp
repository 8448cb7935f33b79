// Weights before the first step, from the seed's streams.
#pragma once

#include <cmath>

#include "fastpolysem/linalg/orthonormal.hpp"
#include "fastpolysem/models/autoencoder/model/parameters.hpp"
#include "fastpolysem/random/distributions.hpp"

namespace fastpolysem::autoencoder {

// Temporary memory of drawing: the orthonormal vectors.
inline double draw_start_bytes(const Settings& s) {
    if (s.init != Init::orthogonal) return 0;
    return orthonormalise_bytes(s.n_features, s.n_hidden);
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

// Leaves the padding unchanged.
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
