// Noise of mean 0 and a given standard deviation, from a stream of the seed.
#pragma once

#include <cmath>

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/random/distributions.hpp"
#include "fastpolysem/random/streams.hpp"
#include "fastpolysem/sampling/row_writer.hpp"

namespace fastpolysem {

enum class Noise { none, rademacher, gaussian, uniform, laplace, student_t, three_point };
enum class Sharing { step, input };  // one draw for all inputs of a step, or one per input
template <>
struct Names<Noise> {
    static constexpr const char* all[] = {"none",    "rademacher", "gaussian",   "uniform",
                                          "laplace", "student_t",  "three_point"};
};
template <>
struct Names<Sharing> {
    static constexpr const char* all[] = {"step", "input"};
};

struct NoiseSettings {
    Noise kind = Noise::none;
    double deviation = 0;
    double shape = 0;  // student_t: degrees of freedom; three_point: probability of a non-zero
};

// Converts the words of blocks into draws of standard deviation 1.
//
//   kind         words per element  draw
//   gaussian     4 for 4            Box-Muller
//   uniform      1                  sqrt(3) (2u - 1)
//   laplace      1                  +-log(u) / sqrt(2), sign from the top bit, u from the other 31
//   student_t    2                  sqrt((nu - 2) (u^(-2/nu) - 1)) cos(2 pi v), exact for every nu (Bailey 1994)
//   three_point  1                  0 unless the upper 31 bits < floor(q 2^31), else +-1/sqrt(q), sign: lowest bit
//   rademacher   1 bit              bit e % 32 of word (e / 32) % 4 of block e / 128: set means +1
struct NoiseShape {
    Noise kind;
    float scale = 1, exponent = 0;
    std::int32_t last_on = 0;  // three_point: the largest 31-bit draw that is not 0

    explicit NoiseShape(const NoiseSettings& s) : kind(s.kind) {
        if (kind == Noise::student_t) {
            scale = float(s.shape - 2);
            exponent = float(-2 / s.shape);
        } else if (kind == Noise::three_point) {
            scale = float(1 / std::sqrt(s.shape));
            last_on = std::int32_t(s.shape * 0x1p31 - 1);
        }
    }

    // Elements per block of four words (rademacher draws bits instead: see draw_noise).
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

// Writes elements 0 .. rows*columns-1 to out(row, column), times the standard deviation.
template <class T, class Out>
void draw_noise(const NoiseSettings& s, const random::StreamPosition& from, std::int64_t rows, std::int64_t columns,
                Out out) {
    const std::int64_t count = rows * columns;
    const T deviation = T(s.deviation);
    if (s.kind == Noise::rademacher) {
        std::int64_t e = 0, row = 0, column = 0;
        random::for_each_element(
            from, (count + 31) / 32, [](const auto& w) { return w; },
            [&](std::int64_t, std::uint32_t word) {
                for (int bit = 0; bit < 32 && e < count; ++bit, ++e) {
                    out(row, column) = (word >> bit) & 1u ? deviation : -deviation;
                    if (++column == columns) column = 0, ++row;
                }
            });
        return;
    }
    const NoiseShape shape(s);
    const int used = shape.elements_per_block();
    std::int64_t row = 0, column = 0;
    random::for_each_element(from, (count + used - 1) / used * 4, shape, [&](std::int64_t e, float z) {
        if (e % 4 >= used || row == rows) return;
        out(row, column) = T(z) * deviation;
        if (++column == columns) column = 0, ++row;
    });
}

// The same, written to the rows of a matrix, whole vectors at a time where the kind allows it.
template <class T>
void draw_noise(const NoiseSettings& s, const random::StreamPosition& from, Matrix<T>& to) {
    if (s.kind == Noise::rademacher || s.kind == Noise::student_t)
        return draw_noise<T>(s, from, to.rows, to.columns,
                             [&to](std::int64_t row, std::int64_t column) -> T& { return to.row(row)[column]; });
    RowWriter<T> writer(to);
    const T deviation = T(s.deviation);
    random::for_each_run(from, to.rows * to.columns, NoiseShape(s), [&](std::int64_t, const auto& run) {
        writer.put(run, [deviation](float z) { return T(z) * deviation; });
    });
}

// The same for a vector of seeds, one in each lane: calls put(e, draws) for e = 0 .. count-1.
template <class T, class Put>
FASTPOLYSEM_INLINE void draw_lane_noise(const NoiseSettings& s, const NoiseShape& shape,
                                        const random::LanesPosition& from, std::int64_t count, Put put_entry) {
    using random::Real, random::Word;
    const auto put = [&](std::int64_t e, Real unit) __attribute__((always_inline)) {
        simd::Pack<T> entry;
        if constexpr (sizeof(T) == 4) entry = unit * simd::Pack<T>::all(T(s.deviation));
        else
            for (int lane = 0; lane < simd::Pack<T>::width; ++lane) entry.v[lane] = T(unit[lane]) * T(s.deviation);
        put_entry(e, entry);
    };
    if (s.kind == Noise::rademacher) {
        const auto minus = Word::all(0x80000000u);
        const auto one = simd::bits_as<std::uint32_t>(Real::all(1.0f));
        for (std::int64_t e = 0; e < count; e += 128) {
            const auto words = from.block(e / 128);
            for (std::int64_t i = 0; i < 128 && e + i < count; ++i) {
                const auto sign =
                    ((words[std::size_t(i / 32)] << int(31 - i % 32)) & minus) ^ minus;  // a set bit is +1
                put(e + i, simd::bits_as<float>(one | sign));
            }
        }
        return;
    }
    const int used = shape.elements_per_block();
    for (std::int64_t e = 0; e < count; e += used) {
        const auto z = shape(from.block(e / used));
        for (int i = 0; i < used && e + i < count; ++i) put(e + i, z[std::size_t(i)]);
    }
}

}  // namespace fastpolysem
