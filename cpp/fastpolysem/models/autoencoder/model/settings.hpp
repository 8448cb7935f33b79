// The settings of a run: a plain struct, validated and completed by the Python layer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fastpolysem/infra/dtype.hpp"
#include "fastpolysem/optimizers/step_constants.hpp"
#include "fastpolysem/sampling/dropout.hpp"
#include "fastpolysem/sampling/inputs.hpp"
#include "fastpolysem/sampling/noise.hpp"

namespace fastpolysem::autoencoder {

// To be incremented when the same settings and seed would give different bits than before; stored with every row.
inline constexpr int numerics_version = 1;

enum class Stop { steps, certified };
enum class Init { normal, xavier, orthogonal, uniform };
enum class Activation { relu, linear };

struct Settings : OptimizerSettings, InputSettings {
    std::int64_t n_hidden = 1;
    SecondMoment second_moment = SecondMoment::coordinate;
    double l1 = 0;
    Schedule l1_schedule;  // factor on l1
    L1Target l1_target = L1Target::weights;
    double repulsion = 0;
    NoiseSettings noise;
    Sharing noise_sharing = Sharing::step;
    double dropout = 0;  // probability
    Sharing dropout_sharing = Sharing::input;
    Stop stop = Stop::steps;
    Init init = Init::normal;
    double init_scale = 1;
    bool tied = true, bias = false;
    Activation activation = Activation::relu;
    std::shared_ptr<const SparseBatch> fixed_batch;
    std::vector<double> importance;  // empty: all ones
    Dtype dtype = Dtype::float32;
    double low = 0.8, high = 1.2;  // window of the polysemantic count

    double l1_at(std::int64_t step) const { return l1 * l1_schedule.at(step); }
    double final_l1() const { return l1 * l1_schedule.last(); }
    // The penalty on weights in a step with this l1.
    double weight_l1(double step_l1) const { return l1_target == L1Target::weights ? step_l1 : 0; }
    bool penalises_activations() const { return l1 != 0 && l1_target == L1Target::activations; }

    bool has_scalar() const { return is_adam() && second_moment == SecondMoment::scalar; }
    bool has_second() const { return is_adam() && !has_scalar(); }  // one per weight

    bool basis() const { return inputs == Inputs::basis; }
    // Rows of a step's input, and of its noise or dropout.
    std::int64_t rows() const { return basis() ? n_features : batch_size; }
    std::int64_t rows(Sharing sharing) const { return sharing == Sharing::step ? 1 : rows(); }
    // The factor by which each feature appears once per step in expectation.
    double scale() const {
        if (!sampled()) return 1.0;
        const bool alike = inputs == Inputs::independent && probability.size() == 1;
        if (alike) return 1.0 / (double(batch_size) * probability[0]);  // rounds differently from the formula below
        return double(n_features) / (double(batch_size) * active_per_row());
    }
};

// The kinds of draws, each with its own stream; the numbers never change.
enum Kind : std::uint32_t {
    encoder_start = 0,
    decoder_start = 1,
    noise_kind = 2,
    inputs_kind = 3,
    magnitudes_kind = 4,
    dropout_kind = 5
};
inline std::uint32_t stream_word(Kind kind) { return random::stream_word(random::Family::autoencoder, 0, kind); }
inline random::StreamPosition stream(const Settings& s, std::uint64_t seed, Kind kind, std::int64_t step,
                                     StopToken* stop = nullptr) {
    return {seed, std::uint32_t(step), stream_word(kind),
            random::shape_word(std::uint32_t(s.n_features), std::uint32_t(s.n_hidden)), stop};
}

}  // namespace fastpolysem::autoencoder

namespace fastpolysem {

template <>
struct Names<autoencoder::Stop> {
    static constexpr const char* all[] = {"steps", "certified"};
};
template <>
struct Names<autoencoder::Init> {
    static constexpr const char* all[] = {"normal", "xavier", "orthogonal", "uniform"};
};
template <>
struct Names<autoencoder::Activation> {
    static constexpr const char* all[] = {"relu", "linear"};
};

}  // namespace fastpolysem
