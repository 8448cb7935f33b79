#include "fastpolysem/models/network/model/initial.hpp"

#include <cmath>

#include "fastpolysem/linalg/orthonormal.hpp"

namespace fastpolysem::network {
namespace {

std::array<random::Real, 4> signed_units(const std::array<random::Word, 4>& words) {
    std::array<random::Real, 4> z;
    for (std::size_t i = 0; i < 4; ++i) z[i] = random::signed_unit(words[i]);
    return z;
}

// Times a factor, which is rounded to float32 as the draws are.
template <class T>
void scale_by(double factor, Matrix<T>& w) {
    for (std::ptrdiff_t i = 0; i < w.rows; ++i)
        for (std::ptrdiff_t k = 0; k < w.columns; ++k) w.row(i)[k] = T(float(w.row(i)[k]) * float(factor));
}

template <class T>
void draw_matrix(const Settings& s, std::uint64_t seed, std::size_t l, Matrix<T>& w, StopToken* stop) {
    const random::StreamPosition from = layer_stream(s, seed, weights_kind, 0, l, stop);
    const double inputs = double(w.rows), outputs = double(w.columns);
    std::int64_t row = 0, column = 0;
    const auto put = [&](std::int64_t, float x) {
        w.row(row)[column] = T(x);
        if (++column == w.columns) column = 0, ++row;
    };
    const bool uniform = s.init == Init::uniform || s.init == Init::pytorch;
    if (uniform) random::for_each_element(from, w.rows * w.columns, signed_units, put);
    else random::for_each_element(from, w.rows * w.columns, random::normals, put);
    double factor = s.init_scale;
    if (s.init == Init::normal || s.init == Init::pytorch) factor *= std::sqrt(1 / inputs);
    if (s.init == Init::uniform) factor *= std::sqrt(3 / inputs);
    if (s.init == Init::xavier) factor *= std::sqrt(2 / (inputs + outputs));
    if (s.init == Init::orthogonal) orthonormalise(w, stop);
    scale_by(factor, w);
}

template <class T>
void draw_biases(const Settings& s, std::uint64_t seed, std::size_t l, Matrix<T>& b, StopToken* stop) {
    const Layer& layer = s.layers[l];
    if (s.init != Init::pytorch) {
        std::fill_n(b.row(0), b.columns, T(layer.bias_start));
        return;
    }
    random::for_each_element(layer_stream(s, seed, biases_kind, 0, l, stop), b.columns, signed_units,
                             [&](std::int64_t j, float x) { b.row(0)[j] = T(x); });
    scale_by(s.init_scale * std::sqrt(1 / double(layer.inputs)), b);
}

}  // namespace

template <class T>
void draw_start(const Settings& s, std::uint64_t seed, Parameters<T>& w, StopToken* stop) {
    for (std::size_t l = 0; l < s.layers.size(); ++l) {
        if (l < s.matrices()) draw_matrix(s, seed, l, w.weights[l], stop);
        if (s.layers[l].bias) draw_biases(s, seed, l, w.biases[l], stop);
    }
}

double draw_start_bytes(const Settings& s) {
    double most = 0;
    if (s.init == Init::orthogonal)
        for (std::size_t l = 0; l < s.matrices(); ++l)
            most = std::max(most, orthonormalise_bytes(s.layers[l].inputs, s.layers[l].outputs));
    return most;
}

template void draw_start(const Settings&, std::uint64_t, Parameters<float>&, StopToken*);
template void draw_start(const Settings&, std::uint64_t, Parameters<double>&, StopToken*);

}  // namespace fastpolysem::network
