// What disturbs the hidden layer: noise of mean 0 and standard deviation noise_std, and dropout, each from a stream of
// the seed.
#pragma once

#include <cmath>

#include "config.hpp"
#include "random.hpp"

namespace fastpolysem {

// Turns the words of blocks into draws of standard deviation 1.
//
//   kind         words an element   draw
//   gaussian     4 for 4            Box-Muller
//   uniform      1                  sqrt(3) (2u - 1)
//   laplace      1                  +-log(u) / sqrt(2), sign from the top bit, u from the other 31
//   student_t    2                  sqrt((nu - 2) (u^(-2/nu) - 1)) cos(2 pi v), exact for every nu (Bailey 1994)
//   three_point  1                  0 unless the upper 31 bits < q 2^31, else +-1/sqrt(q), sign from the lowest bit
//   rademacher   1 bit              bit e % 32 of word (e / 32) % 4 of block e / 128: set means +1
struct NoiseShape {
    Noise kind;
    float scale = 1, exponent = 0;
    std::int32_t last_on = 0;  // three_point: the largest 31-bit draw that is not 0

    explicit NoiseShape(const Settings& s) : kind(s.noise) {
        if (kind == Noise::student_t) {
            scale = float(s.noise_shape - 2);
            exponent = float(-2 / s.noise_shape);
        } else if (kind == Noise::three_point) {
            scale = float(1 / std::sqrt(s.noise_shape));
            last_on = std::int32_t(s.noise_shape * 0x1p31 - 1);
        }
    }

    // Elements that one block of four words gives (rademacher draws bits instead: see draw_noise).
    int elements_per_block() const { return kind == Noise::student_t ? 2 : 4; }

    FASTPOLYSEM_INLINE std::array<random::Real, 4> operator()(const std::array<random::Word, 4>& w) const {
        using random::Real, random::Word;
        if (kind == Noise::gaussian) return random::normals(w);
        std::array<Real, 4> z{};
        if (kind == Noise::student_t) {
            for (int i = 0; i < 2; ++i) {
                const Real growth = random::expm1(random::log(random::unit(w[2 * i])) * Real::all(exponent));
                Real cosine, sine;
                random::cos_sin_turns(w[2 * i + 1], cosine, sine);
                z[i] = simd::sqrt(growth * Real::all(scale)) * cosine;
            }
            return z;
        }
        for (int i = 0; i < 4; ++i) {
            if (kind == Noise::uniform) {
                z[i] = random::signed_unit(w[i]) * Real::all(1.7320508f);
            } else if (kind == Noise::laplace) {
                const Real magnitude = random::log(random::unit(w[i] << 1)) * Real::all(-0.70710678f);
                z[i] = simd::bits_as<float>(simd::bits_as<std::uint32_t>(magnitude) ^ (w[i] & Word::all(0x80000000u)));
            } else {  // three_point
                const auto upper = simd::bits_as<std::int32_t>(w[i] >> 1);
                const Real signed_scale =
                    simd::bits_as<float>(simd::bits_as<std::uint32_t>(Real::all(scale)) ^ (w[i] << 31));
                z[i] = simd::select<float>(upper > simd::Pack<std::int32_t>::all(last_on), Real::zero(), signed_scale);
            }
        }
        return z;
    }
};

// Writes elements 0 .. rows*columns-1 to out(row, column), times noise_std.
template <class T, class Out>
void draw_noise(const Settings& s, std::uint64_t seed, std::uint32_t step, std::int64_t rows, Out out,
                Pulse* pulse = nullptr) {
    const std::int64_t m = s.n_hidden, count = rows * m;
    const random::Place place{seed, step, random::noise_stream,
                              random::shape_word(std::uint32_t(s.n_features), std::uint32_t(m)), pulse};
    const T deviation = T(s.noise_std);
    if (s.noise == Noise::rademacher) {
        std::int64_t e = 0, row = 0, column = 0;
        random::for_each_element(
            place, (count + 31) / 32, [](const auto& w) { return w; },
            [&](std::int64_t, std::uint32_t word) {
                for (int bit = 0; bit < 32 && e < count; ++bit, ++e) {
                    out(row, column) = (word >> bit) & 1u ? deviation : -deviation;
                    if (++column == m) column = 0, ++row;
                }
            });
        return;
    }
    const NoiseShape shape(s);
    const int used = shape.elements_per_block();
    std::int64_t row = 0, column = 0;
    random::for_each_element(place, (count + used - 1) / used * 4, shape, [&](std::int64_t e, float z) {
        if (e % 4 >= used || row == rows) return;
        out(row, column) = T(z) * deviation;
        if (++column == m) column = 0, ++row;
    });
}

// Writes the factors of the hidden units, 0 .. rows*columns-1: 0 (dropped) where the element's word < dropout 2^32,
// else 1 / (1 - dropout), so that the mean is 1.
template <class T, class Out>
void draw_dropout(const Settings& s, std::uint64_t seed, std::uint32_t step, std::int64_t rows, Out out,
                  Pulse* pulse = nullptr) {
    const std::int64_t m = s.n_hidden;
    const random::Place place{seed, step, random::dropout_stream,
                              random::shape_word(std::uint32_t(s.n_features), std::uint32_t(m)), pulse};
    const auto threshold = std::uint64_t(s.dropout * 0x1p32);
    const T kept = T(1 / (1 - s.dropout));
    std::int64_t row = 0, column = 0;
    random::for_each_element(
        place, rows * m, [](const auto& w) { return w; },
        [&](std::int64_t, std::uint32_t word) {
            out(row, column) = word < threshold ? T(0) : kept;
            if (++column == m) column = 0, ++row;
        });
}

}  // namespace fastpolysem
