#include "fastpolysem/models/network/model/initial.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fastpolysem/linalg/orthonormal.hpp"

namespace fastpolysem::network {
namespace {

std::array<random::Real, 4> signed_units(const std::array<random::Word, 4>& words) {
    std::array<random::Real, 4> z;
    for (std::size_t i = 0; i < 4; ++i) z[i] = random::signed_unit(words[i]);
    return z;
}

// Multiplies by a factor, which is rounded to float32 like the draws.
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

// Sets the weights of outputs on neurons that they do not read to 0.
template <class T>
void restrict_readout(const Settings& s, std::uint64_t seed, Matrix<T>& w, StopToken* stop) {
    const std::int64_t neurons = w.rows, outputs = w.columns;
    std::vector<std::uint8_t> reads = s.reads;
    if (s.readout != Readout::given) {
        reads.assign(std::size_t(neurons * outputs), 0);
        for (std::int64_t k = 0; k < neurons; ++k) reads[std::size_t(k * outputs + k % outputs)] = 1;
    }
    if (s.readout == Readout::random) {  // the neurons with the smallest words; in a tie, the first
        std::vector<std::vector<std::pair<std::uint32_t, std::int64_t>>> words(static_cast<std::size_t>(outputs));
        random::for_each_element(
            layer_stream(s, seed, readout_kind, 0, s.hidden(), stop), neurons * outputs,
            [](const auto& drawn) { return drawn; },
            [&](std::int64_t e, std::uint32_t word) {
                words[std::size_t(e % outputs)].emplace_back(word, e / outputs);
            });
        std::fill(reads.begin(), reads.end(), 0);
        for (std::int64_t j = 0; j < outputs; ++j) {
            auto& own = words[std::size_t(j)];
            std::sort(own.begin(), own.end());
            own.resize(std::min(own.size(), std::size_t(neurons / outputs + (j < neurons % outputs))));
            for (const auto& [word, k] : own) reads[std::size_t(k * outputs + j)] = 1;
        }
    }
    for (std::int64_t k = 0; k < neurons; ++k)
        for (std::int64_t j = 0; j < outputs; ++j)
            if (!reads[std::size_t(k * outputs + j)]) w.row(k)[j] = 0;
}

}  // namespace

template <class T>
void draw_start(const Settings& s, std::uint64_t seed, Parameters<T>& w, StopToken* stop) {
    for (std::size_t l = 0; l < s.layers.size(); ++l) {
        if (l < s.matrices()) draw_matrix(s, seed, l, w.weights[l], stop);
        if (s.layers[l].bias) draw_biases(s, seed, l, w.biases[l], stop);
    }
    if (s.readout != Readout::dense) restrict_readout(s, seed, w.weights.back(), stop);
}

double draw_start_bytes(const Settings& s) {
    double most = 0;
    if (s.init == Init::orthogonal)
        for (std::size_t l = 0; l < s.matrices(); ++l)
            most = std::max(most, orthonormalise_bytes(s.layers[l].inputs, s.layers[l].outputs));
    if (s.readout != Readout::dense)
        most = std::max(most, double(s.layers.back().inputs * s.layers.back().outputs) * 17);
    return most;
}

template void draw_start(const Settings&, std::uint64_t, Parameters<float>&, StopToken*);
template void draw_start(const Settings&, std::uint64_t, Parameters<double>&, StopToken*);

}  // namespace fastpolysem::network
