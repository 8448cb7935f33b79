// The settings of a network and its training: a plain struct, validated and completed by the Python layer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "fastpolysem/infra/dtype.hpp"
#include "fastpolysem/math/elementary.hpp"
#include "fastpolysem/models/network/model/rows.hpp"
#include "fastpolysem/optimizers/step_constants.hpp"
#include "fastpolysem/sampling/dropout.hpp"
#include "fastpolysem/sampling/features.hpp"
#include "fastpolysem/sampling/noise.hpp"

namespace fastpolysem::network {

// To be incremented when the same settings and seed would give different bits than before; stored with every row.
inline constexpr int numerics_version = 1;

enum class Activation { relu, gelu, tanh, square, linear };
enum class Loss { power, cross_entropy, binary_cross_entropy };
enum class Target {
    given,
    identity,
    absolute,
    relu,
    clauses,
    parity
};  // all but the first are functions of the inputs
enum class Init { normal, pytorch, xavier, orthogonal, uniform };
enum class Inputs { basis, independent, correlated_blocks, dataset };
// Which hidden neurons each output reads; all other weights are 0 and stay 0. Private: each neuron is read by one
// output. Random: drawn for each seed, with as many neurons per output as in the private readout.
enum class Readout { dense, one_each, random, given };

struct Layer {
    std::ptrdiff_t inputs = 1, outputs = 1;
    Activation activation = Activation::relu;  // the last layer: relu or linear
    bool bias = true;
    double bias_start = 0;
    bool residual = false;  // adds the layer's input; inputs == outputs
    bool frozen = false;
    double l1 = 0;                      // on weights
    double l1_activations = 0;          // on act(z), hidden layers
    double noise_std = 0, dropout = 0;  // hidden layers
};

// For each output, the clauses of which at least one must hold (parity: a single clause). A literal is i for "feature i
// is on" or -i - 1 for "feature i is off".
using Formulas = std::vector<std::vector<std::vector<std::int64_t>>>;

struct Settings : OptimizerSettings {
    std::vector<Layer> layers = std::vector<Layer>(1);
    bool tied = false;  // two layers: the second matrix is the first's transpose

    Loss loss = Loss::power;
    double power = 2;                // a multiple of 1/2, at least 1
    std::vector<double> importance;  // a factor for each output; empty: all ones
    Target target = Target::given;
    Formulas formulas;  // of clauses and parity

    Inputs inputs = Inputs::basis;
    std::int64_t batch_size = 1;          // rows per step; for the basis, its size
    std::vector<double> probability;      // independent: of each feature
    std::vector<FeatureValue> magnitude;  // independent: of each feature
    std::int64_t blocks = 1, active = 1;  // correlated_blocks
    bool full_batch = true;               // dataset: all rows at every step, in their own order
    double label_noise = 0;               // dataset
    Shared<float> in_float;               // data shared by threads, in the settings' number type
    Shared<double> in_double;

    Schedule l1_schedule;  // factor
    Schedule bias_decay;   // without points: none
    Noise noise = Noise::none;
    double noise_shape = 0;
    Sharing noise_sharing = Sharing::input, dropout_sharing = Sharing::input;
    Readout readout = Readout::dense;
    std::vector<std::uint8_t> reads;  // given: 1 where output j reads neuron k, row-major
    Init init = Init::normal;
    double init_scale = 1;
    Dtype dtype = Dtype::float32;

    double scale = 1;  // of loss and l1 on activations: see scale_of

    std::ptrdiff_t n_inputs() const { return layers.front().inputs; }
    std::ptrdiff_t n_outputs() const { return layers.back().outputs; }
    std::ptrdiff_t widest() const {  // of all layers, including the inputs
        std::ptrdiff_t most = n_inputs();
        for (const Layer& layer : layers) most = std::max(most, layer.outputs);
        return most;
    }
    std::size_t matrices() const { return tied ? 1 : layers.size(); }
    std::size_t hidden() const { return layers.size() - 1; }  // layers
    bool sampled() const { return inputs == Inputs::independent || inputs == Inputs::correlated_blocks; }
    // Whether output i corresponds to feature i, so that targets need no table.
    bool elementwise() const {
        return target == Target::identity || target == Target::absolute || target == Target::relu;
    }
    std::int64_t rows() const { return inputs == Inputs::basis ? n_inputs() : batch_size; }
    std::int64_t rows(Sharing sharing) const { return sharing == Sharing::step ? 1 : rows(); }
    bool has_noise(std::size_t l) const { return l < hidden() && noise != Noise::none && layers[l].noise_std != 0; }
    bool has_dropout(std::size_t l) const { return l < hidden() && layers[l].dropout != 0; }
    NoiseSettings noise_of(std::size_t l) const { return {noise, layers[l].noise_std, noise_shape}; }

    // The factor of a sum over this many rows. If output i corresponds to feature i and the loss is a power, each
    // feature appears once per step in expectation; otherwise the result is a mean over rows.
    double scale_of(std::int64_t row_count) const {
        if (inputs == Inputs::dataset || loss != Loss::power || !elementwise()) return 1.0 / double(row_count);
        if (inputs == Inputs::basis) return 1;
        return double(n_inputs()) / (double(row_count) * active_per_row());
    }
    // The same settings with the scale for this many rows.
    Settings for_rows(std::int64_t row_count) const {
        Settings s = *this;
        s.scale = scale_of(row_count);
        return s;
    }
    double active_per_row() const {  // in expectation
        if (inputs != Inputs::independent) return double(active);
        double sum = 0;
        for (const double p : probability) sum += p;
        return sum;
    }

    double bias_decay_at(std::int64_t step) const { return bias_decay.points().empty() ? 0 : bias_decay.at(step); }

    template <class T>
    Shared<T>& shared() {
        if constexpr (sizeof(T) == 4) return in_float;
        else return in_double;
    }
    template <class T>
    const Shared<T>& shared() const {
        return const_cast<Settings*>(this)->shared<T>();
    }
};

// The target of an input, if targets are functions of the inputs.
template <class T>
T target_of(Target target, T x) {
    if (target == Target::absolute) return std::abs(x);
    if (target == Target::relu) return x > 0 ? x : T(0);
    return x;
}

// Whether all literals of a clause hold; x(i) is the value of feature i.
template <class Inputs>
bool holds(const std::vector<std::int64_t>& clause, Inputs x) {
    return std::all_of(clause.begin(), clause.end(),
                       [&](std::int64_t literal) { return literal >= 0 ? x(literal) > 0 : !(x(~literal) > 0); });
}

// The kinds of draws, each with its own stream; the numbers never change.
enum Kind : std::uint32_t {
    weights_kind = 0,
    biases_kind = 1,
    noise_kind = 2,
    inputs_kind = 3,
    magnitudes_kind = 4,
    dropout_kind = 5,
    order_kind = 6,
    labels_kind = 7,
    evaluation_inputs_kind = 8,
    evaluation_magnitudes_kind = 9,
    readout_kind = 10
};
inline constexpr std::int64_t evaluation_rows = 4096;
inline constexpr std::uint64_t evaluation_seed = 0;

// The stream of layer l, counted from 0 as everywhere in the core; streams count from 1.
inline random::StreamPosition layer_stream(const Settings& s, std::uint64_t seed, Kind kind, std::int64_t step,
                                           std::size_t l, StopToken* stop = nullptr) {
    return {seed, std::uint32_t(step), random::stream_word(random::Family::network, std::uint32_t(l) + 1, kind),
            random::shape_word(std::uint32_t(s.layers[l].inputs), std::uint32_t(s.layers[l].outputs)), stop};
}
// ... and of the inputs, independent of the other widths.
inline random::StreamPosition input_stream(const Settings& s, std::uint64_t seed, Kind kind, std::int64_t step,
                                           StopToken* stop = nullptr) {
    return {seed, std::uint32_t(step), random::stream_word(random::Family::network, 0, kind),
            random::shape_word(std::uint32_t(s.n_inputs()), 0), stop};
}

}  // namespace fastpolysem::network

namespace fastpolysem {

template <>
struct Names<network::Activation> {
    static constexpr const char* all[] = {"relu", "gelu", "tanh", "square", "linear"};
};
template <>
struct Names<network::Loss> {
    static constexpr const char* all[] = {"power", "cross_entropy", "binary_cross_entropy"};
};
template <>
struct Names<network::Target> {
    static constexpr const char* all[] = {"given", "identity", "absolute", "relu", "clauses", "parity"};
};
template <>
struct Names<network::Init> {
    static constexpr const char* all[] = {"normal", "pytorch", "xavier", "orthogonal", "uniform"};
};
template <>
struct Names<network::Readout> {
    static constexpr const char* all[] = {"dense", "private", "random", "given"};
};
template <>
struct Names<network::Inputs> {
    static constexpr const char* all[] = {"basis", "independent", "correlated_blocks", "dataset"};
};

}  // namespace fastpolysem
