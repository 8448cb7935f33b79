// Rows whose features are active independently, each with its own probability and kind of value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/random/distributions.hpp"
#include "fastpolysem/random/streams.hpp"

namespace fastpolysem {

// The value of an active feature: 1, in (0, 1], -1 or 1, in [-1, 1].
enum class FeatureValue { one, uniform, sign, signed_uniform };
template <>
struct Names<FeatureValue> {
    static constexpr const char* all[] = {"one", "uniform", "sign", "signed_uniform"};
};

// Element b n + i decides about feature i of row b: it is on where its word is below T = p 2^32. Size and sign come
// from the same word, which is uniform below T, or where T < `enough` from the same element of a second stream. The
// sign is the lowest bit's.
class IndependentFeatures {
    using Word = random::Word;
    using Real = random::Real;
    using Int = simd::Pack<std::int32_t>;
    static constexpr std::int64_t run = 4 * Word::width, runs = 8;  // elements; runs at a time

  public:
    static constexpr std::uint64_t few_words = 1 << 24, always_second = std::uint64_t(1) << 33;  // for `enough`

    IndependentFeatures() = default;
    // probability, value: one per feature, or one for all n features.
    IndependentFeatures(std::int64_t n, const std::vector<double>& probability, const std::vector<FeatureValue>& value,
                        std::uint64_t enough)
        : n_(n) {
        for (std::int64_t e = 0; e < n + run; ++e) {  // runs begin at any feature
            const auto i = std::size_t(e % n);
            const double p = probability[probability.size() == 1 ? 0 : i];
            const FeatureValue kind = value[value.size() == 1 ? 0 : i];
            const auto limit = std::uint64_t(p * 0x1p32);
            const bool is_uniform = kind == FeatureValue::uniform || kind == FeatureValue::signed_uniform;
            const bool is_signed = kind == FeatureValue::sign || kind == FeatureValue::signed_uniform;
            feature_.push_back(std::int32_t(i));
            last_on_.push_back(random::in_signed_order(Word::all(std::uint32_t(limit - 1)))[0]);
            second_.push_back(limit < enough && kind != FeatureValue::one ? -1 : 0);
            factor_.push_back(limit < enough ? 1.0f : float(0x1p32 / double(limit)));
            uniform_.push_back(is_uniform ? -1 : 0);
            sign_.push_back(is_signed ? 1u << 31 : 0);
            plain_ &= kind == FeatureValue::one;
            any_second_ |= second_.back() != 0;
            if (e < n) on_per_row_ += p;
        }
    }
    static double bytes(std::int64_t n) { return double(n + run) * 24; }

    // Numbers reserved for rows with this expected number of active features: at most six standard deviations more,
    // plus the size of one write.
    static double room(double on) { return on + 6 * std::sqrt(on) + double(run * (runs + 1)); }

    // Fills row_start, feature and value of sparse rows; the latter two may be longer than the number of entries.
    template <class Rows>
    void draw(const random::StreamPosition& from, const random::StreamPosition& second, std::int64_t rows,
              Rows& out) const {
        const std::int64_t count = rows * n_;
        std::array<std::array<Word, 4>, runs> drawn;  // drawn together to hide the latency of a block's multiplications
        std::size_t used = 0, at = 0;                 // at: the feature that a run begins with
        std::int64_t row_end = n_;
        out.row_start.reserve(std::size_t(rows) + 1);  // growing takes up to three times as much
        out.row_start.assign(1, 0);
        make_room(std::size_t(room(double(rows) * on_per_row_)), out);
        for (std::int64_t begin = 0; begin < count; begin += run * runs) {
            if (from.given_up(begin)) break;
            for (std::size_t i = 0; i < drawn.size(); ++i)
                drawn[i] = random::in_order(from.blocks(std::uint32_t((begin + std::int64_t(i) * run) / 4)));
            make_room(used + std::size_t(run * (runs + 1)), out);
            for (std::size_t i = 0; i < drawn.size(); ++i) {
                const std::int64_t first = begin + std::int64_t(i) * run;
                if (first >= count) break;
                const std::uint64_t on = on_at(drawn[i], at) & lowest_bits(count - first);
                for (; row_end <= first + run && row_end <= count; row_end += n_)
                    out.row_start.push_back(std::int64_t(used) +
                                            __builtin_popcountll(on & lowest_bits(row_end - first)));
                if (!plain_ && on) put_values(on, drawn[i], second, first, at, &out.value[used]);
                // Branching on whether a feature is active would be unpredictable.
                for (std::size_t part = 0; part < 4; ++part)
                    used += std::size_t(simd::compress(part_of(on, part), Int::load(&feature_[at + part * Word::width]),
                                                       &out.feature[used]));
                at = (at + std::size_t(run)) % std::size_t(n_);
            }
        }
        out.row_start.resize(std::size_t(rows) + 1, std::int64_t(used));
    }

    // The same for a vector of seeds, one in each lane: put(row, feature, values), with 0 for inactive features.
    template <class Put>
    FASTPOLYSEM_INLINE void draw(const random::LanesPosition& from, const random::LanesPosition& second,
                                 std::int64_t rows, Put put) const {
        std::int64_t row = 0, i = 0;
        for (std::int64_t block = 0; row < rows; ++block) {
            const auto words = from.block(block);
            std::array<Word, 4> others{};
            if (any_second_) others = second.block(block);
            for (std::size_t w = 0; w < 4 && row < rows; ++w) {
                const auto at = std::size_t(i);
                const auto off = random::in_signed_order(words[w]) > Int::all(last_on_[at]);
                const Real value = made(words[w], others[w], Int::all(second_[at]), Real::all(factor_[at]),
                                        Int::all(uniform_[at]), Word::all(sign_[at]));
                put(row, i, simd::select<float>(off, Real::zero(), value));
                if (++i == n_) i = 0, ++row;
            }
        }
    }

  private:
    // Which of a run's elements are active, one bit each.
    FASTPOLYSEM_INLINE std::uint64_t on_at(const std::array<Word, 4>& words, std::size_t at) const {
        std::uint64_t off = 0;
        for (std::size_t part = 0; part < 4; ++part) {
            const auto above = random::in_signed_order(words[part]) > Int::load(&last_on_[at + part * Word::width]);
            off |= std::uint64_t(simd::lanes_set<std::int32_t>(above)) << (part * Word::width);
        }
        return ~off & lowest_bits(run);
    }
    static std::uint64_t lowest_bits(std::int64_t count) {
        return count < 64 ? (std::uint64_t(1) << count) - 1 : ~std::uint64_t(0);
    }
    static unsigned part_of(std::uint64_t on, std::size_t part) {
        return unsigned(on >> (part * Word::width)) & unsigned(lowest_bits(Word::width));
    }
    // The values of a run's active elements, stored contiguously; writes whole vectors.
    template <class T>
    void put_values(std::uint64_t on, const std::array<Word, 4>& words, const random::StreamPosition& second,
                    std::int64_t first, std::size_t at, T* to) const {
        std::array<Word, 4> others{};
        if (any_second_) others = random::in_order(second.blocks(std::uint32_t(first / 4)));
        for (std::size_t part = 0; part < 4; ++part) {
            const std::size_t e = at + part * Word::width;
            const Real values = made(words[part], others[part], Int::load(&second_[e]), Real::load(&factor_[e]),
                                     Int::load(&uniform_[e]), Word::load(&sign_[e]));
            to += put(part_of(on, part), values, to);
        }
    }
    FASTPOLYSEM_INLINE static Real made(Word words, Word others, Int second, Real factor, Int uniform, Word sign) {
        const Real one = Real::all(1.0f);
        words = simd::select<std::uint32_t>(second, others, words);
        const Real u = random::unit(words) * factor;
        const Real size = simd::select<float>(uniform, simd::select<float>(u > one, one, u), one);
        return simd::bits_as<float>(simd::bits_as<std::uint32_t>(size) | ((words << 31) & sign));
    }
    // Vectors keep their capacity.
    template <class Rows>
    static void make_room(std::size_t count, Rows& out) {
        using T = typename std::decay_t<decltype(out.value)>::value_type;
        if (out.feature.size() >= count) return;
        out.feature.resize(count);
        out.value.resize(count, T(1));
    }
    static int put(unsigned on, Real values, float* to) { return simd::compress(on, values, to); }
    static int put(unsigned on, Real values, double* to) {
        float side_by_side[2 * Word::width] = {};  // compress need not write beyond the count
        const int count = simd::compress(on, values, side_by_side);
        for (int i = 0; i < Word::width; ++i) to[i] = double(side_by_side[i]);
        return count;
    }

    std::int64_t n_ = 0;
    // Constants by position in a run: those of all n features, followed by those of the first features again.
    std::vector<std::int32_t> feature_, last_on_, second_, uniform_;
    std::vector<float> factor_;
    std::vector<std::uint32_t> sign_;
    double on_per_row_ = 0;  // in expectation
    bool plain_ = true, any_second_ = false;
};

// Memory of sampled rows with this expected number of active features per row.
template <class Value>
double row_bytes(std::int64_t rows, double active, bool independent) {
    const double on = double(rows) * active, entries = independent ? IndependentFeatures::room(on) : on;
    return double(rows) * sizeof(std::int64_t) + entries * (sizeof(std::int32_t) + sizeof(Value));
}

// Rows of one block of features each, `active` of which are 1. Row b takes words b (active + 1) + t: t = 0 chooses the
// block, the others draw its features without repetition (a partial Fisher-Yates shuffle); an index below k is
// (word k) / 2^32.
template <class Rows>
void draw_block_rows(std::int64_t n, std::int64_t blocks, std::int64_t active, const random::StreamPosition& from,
                     std::int64_t rows, Rows& out) {
    const std::int64_t size = n / blocks;
    std::vector<std::int32_t> order(static_cast<std::size_t>(size));
    std::int64_t t = 0;
    out.row_start.reserve(std::size_t(rows) + 1);
    out.feature.reserve(std::size_t(rows * active));
    out.row_start.assign(1, 0);
    out.feature.clear();
    random::for_each_element(
        from, rows * (active + 1), [](const auto& w) { return w; },
        [&](std::int64_t, std::uint32_t word) {
            const auto below = [word](std::int64_t k) {
                return std::int64_t((std::uint64_t(word) * std::uint64_t(k)) >> 32);
            };
            if (t == 0) {
                const std::int64_t first = below(blocks) * size;
                for (std::int64_t i = 0; i < size; ++i) order[std::size_t(i)] = std::int32_t(first + i);
            } else {
                std::swap(order[std::size_t(t - 1)], order[std::size_t(t - 1 + below(size - (t - 1)))]);
            }
            if (++t <= active) return;
            std::sort(order.begin(), order.begin() + active);
            out.feature.insert(out.feature.end(), order.begin(), order.begin() + active);
            out.row_start.push_back(std::int64_t(out.feature.size()));
            t = 0;
        });
    out.value.resize(out.feature.size(), 1);
    out.row_start.resize(std::size_t(rows) + 1, std::int64_t(out.feature.size()));
}

}  // namespace fastpolysem
