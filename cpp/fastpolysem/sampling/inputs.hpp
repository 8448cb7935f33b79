// The inputs of a step: sparse rows, given or sampled afresh at each step from the seed's streams.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/random/distributions.hpp"
#include "fastpolysem/random/streams.hpp"
#include "fastpolysem/sampling/features.hpp"

namespace fastpolysem {

enum class Inputs { basis, independent, correlated_blocks, fixed };
enum class Magnitude { one, uniform };
template <>
struct Names<Inputs> {
    static constexpr const char* all[] = {"basis", "independent", "correlated_blocks", "fixed"};
};
template <>
struct Names<Magnitude> {
    static constexpr const char* all[] = {"one", "uniform"};
};

// Rows of inputs, most entries zero (compressed sparse rows; columns ascending within a row).
struct SparseBatch {
    std::vector<std::int64_t> row_start = {0};
    std::vector<std::int32_t> feature;
    std::vector<double> value;
    std::int64_t rows() const { return std::int64_t(row_start.size()) - 1; }
};

// Calls use(feature, value) for what is on in row b.
template <class T, class Use>
void for_active(const SparseBatch& batch, std::ptrdiff_t b, Use use) {
    for (std::int64_t e = batch.row_start[std::size_t(b)]; e < batch.row_start[std::size_t(b) + 1]; ++e)
        use(batch.feature[std::size_t(e)], T(batch.value[std::size_t(e)]));
}

// What is sampled: rows of n_features features.
struct InputSettings {
    Inputs inputs = Inputs::basis;
    std::int64_t n_features = 1, batch_size = 1;
    double probability = 0;                // independent
    Magnitude magnitude = Magnitude::one;  // independent
    std::int64_t blocks = 1, active = 1;   // correlated_blocks

    bool sampled() const { return inputs == Inputs::independent || inputs == Inputs::correlated_blocks; }
    // Features that are on in a row, in expectation.
    double active_per_row() const {
        if (inputs == Inputs::independent) return double(n_features) * probability;
        return inputs == Inputs::correlated_blocks ? double(active) : 1;
    }
    // Memory of a sampled batch. Vectors grow by doubling: features of independent inputs may take twice their size
    // (all of which is written), magnitudes twice while they move.
    double bytes() const {
        if (!sampled()) return 0;
        const bool independent = inputs == Inputs::independent;
        const double feature = (independent ? 2.0 : 1.25) * sizeof(std::int32_t);
        const double value = (independent && magnitude == Magnitude::uniform ? 1.75 : 1.0) * sizeof(double);
        return double(batch_size) * (sizeof(std::int64_t) + active_per_row() * (feature + value));
    }
};

// Bit i of 16 goes to bit 4 i.
inline std::uint64_t spread(std::uint64_t bits) {
    bits = (bits | bits << 24) & 0x000000FF000000FFu;
    bits = (bits | bits << 12) & 0x000F000F000F000Fu;
    bits = (bits | bits << 6) & 0x0303030303030303u;
    return (bits | bits << 3) & 0x1111111111111111u;
}

// Which of 4 Word::width elements from `first` on have a word of at most the threshold, a bit each, in order. Words are
// compared as signed numbers, all shifted down by half their range.
FASTPOLYSEM_INLINE std::uint64_t elements_on(const random::StreamPosition& from, std::int64_t first,
                                             std::uint32_t threshold) {
    using random::Word;
    const auto last_on = simd::Pack<std::int32_t>::all(std::int32_t(threshold ^ 0x80000000u));
    const auto words = from.blocks(std::uint32_t(first / 4));
    std::uint64_t on = 0;  // bit 4 lane + w: word w of the lane's block
    for (std::size_t w = 0; w < 4; ++w) {
        const auto off = simd::bits_as<std::int32_t>(words[w] ^ Word::all(0x80000000u)) > last_on;
        on |= spread(~simd::lanes_set<std::int32_t>(off) & ((1u << Word::width) - 1)) << w;
    }
    return on;
}

// Element b n + j decides whether feature j is on in row b (word < p 2^32); its magnitude, if uniform
// on (0, 1], is the same element of the stream of magnitudes.
inline void draw_independent(const InputSettings& s, const random::StreamPosition& from,
                             const random::StreamPosition& magnitudes, SparseBatch& batch) {
    using random::Word;
    constexpr std::int64_t block = 4 * Word::width;  // elements
    const std::int64_t n = s.n_features, count = s.batch_size * n;
    const bool uniform = s.magnitude == Magnitude::uniform;
    const auto threshold = std::uint64_t(s.probability * 0x1p32);
    std::array<std::uint64_t, 16> drawn;  // together, since a block's multiplications wait for each other
    std::int64_t row_begin = 0;
    std::size_t used = 0;
    std::vector<std::int32_t>& feature = batch.feature;
    for (std::int64_t first = 0; first < count && threshold > 0; first += block * std::int64_t(drawn.size())) {
        if (from.given_up(first)) break;
        for (std::size_t i = 0; i < drawn.size(); ++i)
            drawn[i] = elements_on(from, first + std::int64_t(i) * block, std::uint32_t(threshold - 1));
        const std::size_t most = used + std::size_t(block) * drawn.size() + 4;
        if (feature.size() < most) feature.resize(std::max(most, 2 * used));
        for (std::size_t i = 0; i < drawn.size(); ++i) {
            const std::int64_t begin = first + std::int64_t(i) * block;
            if (begin >= count) break;
            std::uint64_t on = drawn[i];
            if (count - begin < 64) on &= (std::uint64_t(1) << (count - begin)) - 1;
            if (uniform && on) {
                const auto words = magnitudes.blocks(std::uint32_t(begin / 4));
                for (std::uint64_t left = on; left; left &= left - 1) {
                    const int bit = __builtin_ctzll(left);
                    batch.value.push_back(double(random::unit(words[std::size_t(bit % 4)])[bit / 4]));
                }
            }
            for (; begin >= row_begin + n; row_begin += n) batch.row_start.push_back(std::int64_t(used));
            if (begin + block <= row_begin + n) {
                // Most blocks have few elements. Four are written whether they are there or not: how many there are is
                // a branch that nobody can foresee.
                const auto base = std::int32_t(begin - row_begin);
                std::int32_t* to = feature.data() + used;
                used += std::size_t(__builtin_popcountll(on));
                for (int k = 0; k < 4; ++k, on &= on - 1) to[k] = base + __builtin_ctzll(on | std::uint64_t(1) << 63);
                for (to += 4; on; on &= on - 1) *to++ = base + __builtin_ctzll(on);
                continue;
            }
            for (; on; on &= on - 1) {
                const std::int64_t element = begin + __builtin_ctzll(on);
                for (; element >= row_begin + n; row_begin += n) batch.row_start.push_back(std::int64_t(used));
                feature[used++] = std::int32_t(element - row_begin);
            }
        }
    }
    feature.resize(used);
    if (!uniform) batch.value.assign(used, 1.0);
}

// from: the stream of what is on. magnitudes: that of the magnitudes of independent features.
inline void draw_batch(const InputSettings& s, const random::StreamPosition& from,
                       const random::StreamPosition& magnitudes, SparseBatch& batch) {
    batch.row_start.assign(1, 0);
    batch.feature.clear();
    batch.value.clear();
    if (s.inputs == Inputs::independent) draw_independent(s, from, magnitudes, batch);
    else draw_block_rows(s.n_features, s.blocks, s.active, from, s.batch_size, batch);
    batch.row_start.resize(std::size_t(s.batch_size) + 1, std::int64_t(batch.feature.size()));
}

}  // namespace fastpolysem
