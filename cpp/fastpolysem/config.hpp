// What a run is: a plain struct, checked and completed by Python before it comes here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fastpolysem {

// Raised when the same settings and seed would give other bits than before; every stored row carries it.
inline constexpr int numerics_version = 1;

enum class L1Target { weights, activations };
enum class L1Update { subgradient, orthant };
enum class Noise { none, rademacher, gaussian, uniform, laplace, student_t, three_point };
enum class NoiseSharing { step, input };
enum class Optimizer { sgd, adam, adamw };
enum class Stop { steps, certified };
enum class Init { normal, xavier, orthogonal, uniform };
enum class Activation { relu, linear };
enum class Inputs { basis, independent, correlated_blocks, fixed };
enum class Magnitude { one, uniform };
enum class Dtype { float32, float64 };

// The names Python uses, in the order of the enumerators.
template <class E>
struct Names;
// clang-format off
template <> struct Names<L1Target> { static constexpr const char* all[] = {"weights", "activations"}; };
template <> struct Names<L1Update> { static constexpr const char* all[] = {"subgradient", "orthant"}; };
template <> struct Names<Noise> { static constexpr const char* all[] = {"none", "rademacher", "gaussian", "uniform", "laplace", "student_t", "three_point"}; };
template <> struct Names<NoiseSharing> { static constexpr const char* all[] = {"step", "input"}; };
template <> struct Names<Optimizer> { static constexpr const char* all[] = {"sgd", "adam", "adamw"}; };
template <> struct Names<Stop> { static constexpr const char* all[] = {"steps", "certified"}; };
template <> struct Names<Init> { static constexpr const char* all[] = {"normal", "xavier", "orthogonal", "uniform"}; };
template <> struct Names<Activation> { static constexpr const char* all[] = {"relu", "linear"}; };
template <> struct Names<Inputs> { static constexpr const char* all[] = {"basis", "independent", "correlated_blocks", "fixed"}; };
template <> struct Names<Magnitude> { static constexpr const char* all[] = {"one", "uniform"}; };
template <> struct Names<Dtype> { static constexpr const char* all[] = {"float32", "float64"}; };
// clang-format on

template <class E>
const char* name_of(E value) {
    return Names<E>::all[int(value)];
}

template <class E>
E parse(const std::string& name) {
    int i = 0;
    for (const char* candidate : Names<E>::all) {
        if (name == candidate) return E(i);
        ++i;
    }
    throw std::invalid_argument("unknown name '" + name + "'");
}

// Rows of inputs, most entries zero (compressed sparse rows; columns ascending within a row).
struct SparseBatch {
    std::vector<std::int64_t> row_start = {0};
    std::vector<std::int32_t> feature;
    std::vector<double> value;
    std::int64_t rows() const { return std::int64_t(row_start.size()) - 1; }
};

struct Settings {
    std::int64_t n_features = 1, n_hidden = 1;
    double l1 = 0;
    std::vector<std::pair<std::int64_t, double>> l1_schedule;  // (step, factor on l1), steps ascending; empty: 1
    L1Target l1_target = L1Target::weights;
    L1Update l1_update = L1Update::subgradient;
    double repulsion = 0;
    Noise noise = Noise::none;
    double noise_std = 0;
    double noise_shape = 0;  // student_t: degrees of freedom; three_point: probability of a non-zero
    NoiseSharing noise_sharing = NoiseSharing::step;
    double dropout = 0;  // probability
    NoiseSharing dropout_sharing = NoiseSharing::input;
    Optimizer optimizer = Optimizer::adamw;
    double learning_rate = 1e-3;
    double weight_decay = 0;  // the effective number
    double momentum = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    std::int64_t steps = 7500;
    Stop stop = Stop::steps;
    Init init = Init::normal;
    double init_scale = 1;
    bool tied = true, bias = false;
    Activation activation = Activation::relu;
    Inputs inputs = Inputs::basis;
    double probability = 0;                // independent
    Magnitude magnitude = Magnitude::one;  // independent
    std::int64_t blocks = 1, active = 1;   // correlated_blocks
    std::int64_t batch_size = 1;           // rows of a sampled or fixed batch
    std::shared_ptr<const SparseBatch> fixed_batch;
    std::vector<double> importance;  // empty: all ones
    Dtype dtype = Dtype::float32;
    double low = 0.8, high = 1.2;  // window of the polysemantic count

    // l1 at a step, counted from 0: between two points of the schedule on the line through them, outside constant.
    double l1_at(std::int64_t step) const {
        if (l1_schedule.empty()) return l1;
        const auto after = std::upper_bound(l1_schedule.begin(), l1_schedule.end(), step,
                                            [](std::int64_t t, const auto& point) { return t < point.first; });
        if (after == l1_schedule.begin()) return l1 * after->second;
        const auto [from, start] = *(after - 1);
        if (after == l1_schedule.end()) return l1 * start;
        const double part = double(step - from) / double(after->first - from);
        return l1 * (start + (after->second - start) * part);
    }
    double final_l1() const { return l1_schedule.empty() ? l1 : l1 * l1_schedule.back().second; }
    std::int64_t l1_constant_from() const { return l1_schedule.empty() ? 0 : l1_schedule.back().first; }

    bool has_momentum() const { return optimizer == Optimizer::sgd && momentum != 0; }
    bool is_adam() const { return optimizer != Optimizer::sgd; }
    bool sampled() const { return inputs == Inputs::independent || inputs == Inputs::correlated_blocks; }
    bool basis() const { return inputs == Inputs::basis; }
    // Rows of a step's input, and so of its noise or dropout if each input has its own.
    std::int64_t rows() const { return basis() ? n_features : batch_size; }
    // The factor that lets each feature appear once a step in expectation.
    double scale() const {
        if (inputs == Inputs::independent) return 1.0 / (double(batch_size) * probability);
        if (inputs == Inputs::correlated_blocks) return double(n_features) / (double(batch_size) * double(active));
        return 1.0;
    }
};

}  // namespace fastpolysem
