// Rows whose features are on independently of each other, each with a chance and a kind of value of its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/random/distributions.hpp"
#include "fastpolysem/random/streams.hpp"

namespace fastpolysem {

// Of a feature that is on: 1, in (0, 1], -1 or 1, in [-1, 1].
enum class FeatureValue { one, uniform, sign, signed_uniform };
template <>
struct Names<FeatureValue> {
    static constexpr const char* all[] = {"one", "uniform", "sign", "signed_uniform"};
};

// Element b n + i decides about feature i of row b: it is on where its word is below T = p 2^32. Size and sign come
// from the same word, which is uniform below T, or where T < 2^24 and few words remain from the same element of a
// second stream. The sign is the lowest bit's.
class IndependentFeatures {
    using Word = random::Word;
    using Real = random::Real;
    using Int = simd::Pack<std::int32_t>;
    static constexpr std::int64_t run = 4 * Word::width;  // elements
    static constexpr std::uint64_t enough = 1 << 24;      // words for a size

  public:
    IndependentFeatures() = default;
    IndependentFeatures(const std::vector<double>& probability, const std::vector<FeatureValue>& value)
        : n_(std::int64_t(probability.size())) {
        const std::size_t length = probability.size() + std::size_t(run);  // runs begin at any feature
        for (std::size_t e = 0; e < length; ++e) {
            const std::size_t i = e % probability.size();
            const auto limit = std::uint64_t(probability[i] * 0x1p32);
            const bool is_uniform = value[i] == FeatureValue::uniform || value[i] == FeatureValue::signed_uniform;
            const bool is_signed = value[i] == FeatureValue::sign || value[i] == FeatureValue::signed_uniform;
            feature_.push_back(std::int32_t(i));
            last_on_.push_back(std::int32_t(std::uint32_t(limit - 1) ^ top));
            second_.push_back(limit < enough && value[i] != FeatureValue::one ? -1 : 0);
            factor_.push_back(limit < enough ? 1.0f : float(0x1p32 / double(limit)));
            uniform_.push_back(is_uniform ? -1 : 0);
            sign_.push_back(is_signed ? 1u << 31 : 0);
            plain_ &= value[i] == FeatureValue::one;
            any_second_ |= second_.back() != 0;
        }
    }
    double bytes() const { return double(feature_.size()) * 24; }

    // Fills row_start, feature and value of sparse rows; vectors keep what room they have.
    template <class Rows>
    void draw(const random::StreamPosition& from, const random::StreamPosition& second, std::int64_t rows,
              Rows& out) const {
        using T = typename std::decay_t<decltype(out.value)>::value_type;
        const std::int64_t count = rows * n_;
        std::array<std::array<Word, 4>, 8> drawn;  // together, since a block's multiplications wait for each other
        std::size_t used = 0;
        std::int64_t row_end = n_;
        out.row_start.assign(1, 0);
        for (std::int64_t begin = 0; begin < count; begin += run * std::int64_t(drawn.size())) {
            if (from.given_up(begin)) break;
            for (std::size_t i = 0; i < drawn.size(); ++i)
                drawn[i] = random::in_order(from.blocks(std::uint32_t((begin + std::int64_t(i) * run) / 4)));
            const std::size_t most = used + std::size_t(run) * (drawn.size() + 1);
            if (out.feature.size() < most) {
                out.feature.resize(most + most / 4);
                out.value.resize(most + most / 4, T(1));
            }
            for (std::size_t i = 0; i < drawn.size(); ++i) {
                const std::int64_t first = begin + std::int64_t(i) * run;
                if (first >= count) break;
                std::array<Word, 4> others{};
                if (any_second_) others = random::in_order(second.blocks(std::uint32_t(first / 4)));
                std::size_t at = std::size_t(first % n_);
                for (std::size_t part = 0; part < 4; ++part, at += Word::width) {
                    const std::int64_t element = first + std::int64_t(part) * Word::width;
                    const Word words = drawn[i][part];
                    unsigned on = on_at(words, at);
                    if (count - element < Word::width) on &= (1u << std::max<std::int64_t>(count - element, 0)) - 1;
                    if (on) {
                        simd::compress(on, Int::load(&feature_[at]), &out.feature[used]);
                        if (!plain_) put(on, value_at(words, others[part], at), &out.value[used]);
                    }
                    for (; row_end <= element + Word::width && row_end <= count; row_end += n_)
                        out.row_start.push_back(
                            std::int64_t(used) +
                            __builtin_popcount(on & unsigned((std::uint64_t(1) << (row_end - element)) - 1)));
                    used += std::size_t(__builtin_popcount(on));
                }
            }
        }
        out.row_start.resize(std::size_t(rows) + 1, std::int64_t(used));
    }

    // The same for a vector of seeds, one in each lane: put(row, feature, values), 0 where it is off.
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
                const auto off = signed_order(words[w]) > Int::all(last_on_[at]);
                const Real value = made(words[w], others[w], Int::all(second_[at]), Real::all(factor_[at]),
                                        Int::all(uniform_[at]), Word::all(sign_[at]));
                put(row, i, simd::select<float>(off, Real::zero(), value));
                if (++i == n_) i = 0, ++row;
            }
        }
    }

  private:
    static constexpr std::uint32_t top = 0x80000000u;

    // Words compare as signed numbers once they are shifted down by half their range.
    FASTPOLYSEM_INLINE static Int signed_order(Word words) {
        return simd::bits_as<std::int32_t>(words ^ Word::all(top));
    }
    FASTPOLYSEM_INLINE unsigned on_at(Word words, std::size_t at) const {
        const unsigned off = simd::lanes_set<std::int32_t>(signed_order(words) > Int::load(&last_on_[at]));
        return ~off & unsigned((std::uint64_t(1) << Word::width) - 1);
    }
    FASTPOLYSEM_INLINE Real value_at(Word words, Word others, std::size_t at) const {
        return made(words, others, Int::load(&second_[at]), Real::load(&factor_[at]), Int::load(&uniform_[at]),
                    Word::load(&sign_[at]));
    }
    FASTPOLYSEM_INLINE static Real made(Word words, Word others, Int second, Real factor, Int uniform, Word sign) {
        const Real one = Real::all(1.0f);
        words = simd::select<std::uint32_t>(second, others, words);
        const Real u = random::unit(words) * factor;
        const Real size = simd::select<float>(uniform, simd::select<float>(u > one, one, u), one);
        return simd::bits_as<float>(simd::bits_as<std::uint32_t>(size) | ((words << 31) & sign));
    }
    static void put(unsigned on, Real values, float* to) { simd::compress(on, values, to); }
    static void put(unsigned on, Real values, double* to) {
        float side_by_side[2 * Word::width];
        const int count = simd::compress(on, values, side_by_side);
        for (int i = 0; i < count; ++i) to[i] = double(side_by_side[i]);
    }

    std::int64_t n_ = 0;
    // Of the element that a run's begin is at, and of those that follow: n features, and the first ones again.
    std::vector<std::int32_t> feature_, last_on_, second_, uniform_;
    std::vector<float> factor_;
    std::vector<std::uint32_t> sign_;
    bool plain_ = true, any_second_ = false;
};

// Rows of one block of features each, `active` of which are 1. Row b takes words b (active + 1) + t: t = 0 chooses the
// block, the others draw its features without repetition (a partial Fisher-Yates shuffle); an index below k is
// (word k) / 2^32.
template <class Rows>
void draw_block_rows(std::int64_t n, std::int64_t blocks, std::int64_t active, const random::StreamPosition& from,
                     std::int64_t rows, Rows& out) {
    const std::int64_t size = n / blocks;
    std::vector<std::int32_t> order(static_cast<std::size_t>(size));
    std::int64_t t = 0;
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
