// The inputs of a step: sparse rows, given or newly sampled at each step from the seed's streams.
#pragma once

#include <cstdint>
#include <vector>

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/random/streams.hpp"
#include "fastpolysem/sampling/features.hpp"

namespace fastpolysem {

enum class Inputs { basis, independent, correlated_blocks, fixed };
template <>
struct Names<Inputs> {
    static constexpr const char* all[] = {"basis", "independent", "correlated_blocks", "fixed"};
};

// Rows of inputs, most entries zero (compressed sparse rows; columns ascending within a row). Anything after the end of
// the last row is ignored.
struct SparseBatch {
    std::vector<std::int64_t> row_start = {0};
    std::vector<std::int32_t> feature;
    std::vector<double> value;
    std::int64_t rows() const { return std::int64_t(row_start.size()) - 1; }
};

// Calls use(feature, value) for the active features in row b.
template <class T, class Use>
void for_active(const SparseBatch& batch, std::ptrdiff_t b, Use use) {
    for (std::int64_t e = batch.row_start[std::size_t(b)]; e < batch.row_start[std::size_t(b) + 1]; ++e)
        use(batch.feature[std::size_t(e)], T(batch.value[std::size_t(e)]));
}

// The distribution of sampled inputs: rows of n_features features.
struct InputSettings {
    Inputs inputs = Inputs::basis;
    std::int64_t n_features = 1, batch_size = 1;
    std::vector<double> probability;      // independent: one per feature, or one for all
    std::vector<FeatureValue> magnitude;  // likewise
    std::int64_t blocks = 1, active = 1;  // correlated_blocks

    bool sampled() const { return inputs == Inputs::independent || inputs == Inputs::correlated_blocks; }
    // The expected number of active features per row.
    double active_per_row() const {
        if (inputs != Inputs::independent) return inputs == Inputs::correlated_blocks ? double(active) : 1;
        if (probability.size() == 1) return double(n_features) * probability[0];
        double sum = 0;
        for (const double p : probability) sum += p;
        return sum;
    }
    // Memory of a sampled batch and of its sampler.
    double bytes() const {
        if (!sampled()) return 0;
        const bool independent = inputs == Inputs::independent;
        return row_bytes<double>(batch_size, active_per_row(), independent) +
               (independent ? IndependentFeatures::bytes(n_features) : 0);
    }
};

inline IndependentFeatures features_of(const InputSettings& s) {
    if (s.inputs != Inputs::independent) return {};
    return {s.n_features, s.probability, s.magnitude, IndependentFeatures::always_second};
}

// from: the stream of active features. magnitudes: the stream of magnitudes of independent features.
inline void draw_batch(const InputSettings& s, const IndependentFeatures& features, const random::StreamPosition& from,
                       const random::StreamPosition& magnitudes, SparseBatch& batch) {
    if (s.inputs == Inputs::independent) features.draw(from, magnitudes, s.batch_size, batch);
    else draw_block_rows(s.n_features, s.blocks, s.active, from, s.batch_size, batch);
}

}  // namespace fastpolysem
