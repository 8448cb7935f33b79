// Seed streams. Every random number of a run is a function of its place, never of what was drawn before:
//
//     block   = Philox4x32-10(counter, key)                      four 32-bit words
//     key     = the 64-bit seed                                  (low word, high word)
//     counter = (element / 4, step, stream, shape_word(n, m))
//
// An element is a row-major index into what is drawn; word element % 4 of its block is its word. Kinds that
// use another number of words for an element say so where they are defined (noise.hpp). Draws are made in float32
// with the operations below only, so that they are the same bits on every machine; float64 widens them.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/simd.hpp"
#include "pulse.hpp"

namespace fastpolysem::random {

using simd::Pack;
using Word = Pack<std::uint32_t>;
using Real = Pack<float>;

enum Stream : std::uint32_t {
    encoder_start = 0,
    decoder_start = 1,
    noise_stream = 2,
    batch_stream = 3,
    magnitude_stream = 4,
    dropout_stream = 5
};

// A fixed mix of the model's shape, so that different widths draw independent numbers (the finaliser is MurmurHash3's).
inline std::uint32_t shape_word(std::uint32_t n, std::uint32_t m) {
    std::uint32_t h = n * 0x9E3779B1u;
    h ^= h >> 15;
    h += m * 0x85EBCA77u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return h;
}

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), one counter and one key a lane.
FASTPOLYSEM_INLINE std::array<Word, 4> philox(std::array<Word, 4> counter, Word key_low, Word key_high) {
    auto [c0, c1, c2, c3] = counter;
    for (int round = 0; round < 10; ++round) {
        Word high0, low0, high1, low1;
        simd::multiply_wide(c0, 0xD2511F53u, high0, low0);
        simd::multiply_wide(c2, 0xCD9E8D57u, high1, low1);
        c0 = high1 ^ c1 ^ key_low;
        c1 = low1;
        c2 = high0 ^ c3 ^ key_high;
        c3 = low0;
        key_low = key_low + Word::all(0x9E3779B9u);
        key_high = key_high + Word::all(0xBB67AE85u);
    }
    return {c0, c1, c2, c3};
}

// Where a run's draws of one kind and step come from: one seed in every lane, consecutive blocks in consecutive lanes.
struct Place {
    std::uint64_t seed;
    std::uint32_t step, stream, shape;
    Pulse* pulse = nullptr;  // asked now and then by long draws whether to go on

    // Asked at element 0 and every 2^16 after; true: the draws will not be used.
    bool given_up(std::int64_t element) const { return pulse && element % 65536 == 0 && pulse->stopped(); }
    FASTPOLYSEM_INLINE std::array<Word, 4> blocks(std::uint32_t first) const {
        return philox({Word::iota() + Word::all(first), Word::all(step), Word::all(stream), Word::all(shape)},
                      Word::all(std::uint32_t(seed)), Word::all(std::uint32_t(seed >> 32)));
    }
};

// (word + 1/2) / 2^32, rounded once: in (0, 1].
FASTPOLYSEM_INLINE Real unit(Word w) {
    const Real high = simd::convert<float>(simd::bits_as<std::int32_t>(w >> 16));
    const Real low = simd::convert<float>(simd::bits_as<std::int32_t>(w & Word::all(0xFFFFu)));
    return simd::fma(high, Real::all(65536.0f), low + Real::all(0.5f)) * Real::all(0x1p-32f);
}

// (word as a signed integer + 1/2) / 2^31, rounded once: in [-1, 1].
FASTPOLYSEM_INLINE Real signed_unit(Word w) {
    const auto s = simd::bits_as<std::int32_t>(w);
    const Real high = simd::convert<float>(s >> 16);
    const Real low = simd::convert<float>(simd::bits_as<std::int32_t>(w & Word::all(0xFFFFu)));
    return simd::fma(high, Real::all(65536.0f), low + Real::all(0.5f)) * Real::all(0x1p-31f);
}

// Natural logarithm for normal positive arguments (the polynomial is Cephes' logf), within 2 units in the last place.
FASTPOLYSEM_INLINE Real log(Real x) {
    using Int = Pack<std::int32_t>;
    const Int shifted = simd::bits_as<std::int32_t>(x) - Int::all(0x3F3504F3);  // exponent 0 from sqrt(1/2) to sqrt(2)
    const Real e = simd::convert<float>(shifted >> 23);
    const Real f = simd::bits_as<float>((shifted & Int::all(0x7FFFFF)) + Int::all(0x3F3504F3)) - Real::all(1.0f);
    const Real z = f * f;
    Real p = Real::all(7.0376836292e-2f);
    for (float c : {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                    2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f})
        p = simd::fma(p, f, Real::all(c));
    Real y = simd::fma(e, Real::all(-2.12194440e-4f), p * f * z);
    y = simd::fma(z, Real::all(-0.5f), y);
    return simd::fma(e, Real::all(0.693359375f), f + y);
}

// Cosine and sine of 2 pi word / 2^32 (the polynomials are Cephes'); the quadrant is exact, taken from the word.
FASTPOLYSEM_INLINE void cos_sin_turns(Word w, Real& cosine, Real& sine) {
    using Int = Pack<std::int32_t>;
    const Word quadrant = (w + Word::all(1u << 29)) >> 30;
    const Int rest = simd::bits_as<std::int32_t>(w - (quadrant << 30));
    const Real x = simd::convert<float>(rest) * Real::all(0x1.921fb6p-30f);  // pi/2 in 2^30 parts
    const Real z = x * x;
    Real s = simd::fma(Real::all(-1.9515295891e-4f), z, Real::all(8.3321608736e-3f));
    s = simd::fma(s, z, Real::all(-1.6666654611e-1f));
    s = simd::fma(s * z, x, x);
    Real c = simd::fma(Real::all(2.443315711809948e-5f), z, Real::all(-1.388731625493765e-3f));
    c = simd::fma(c, z, Real::all(4.166664568298827e-2f));
    c = simd::fma(c * z, z, simd::fma(z, Real::all(-0.5f), Real::all(1.0f)));
    const auto odd = simd::bits_as<std::int32_t>(quadrant << 31);  // sign bit where sine and cosine swap
    const auto swap = odd < Int::zero();
    const Real a = simd::select<float>(swap, s, c), b = simd::select<float>(swap, c, s);
    const Word cosine_sign = (((quadrant + Word::all(1u)) >> 1) & Word::all(1u)) << 31;  // quadrants 1 and 2
    const Word sine_sign = (quadrant >> 1) << 31;                                        // quadrants 2 and 3
    cosine = simd::bits_as<float>(simd::bits_as<std::uint32_t>(a) ^ cosine_sign);
    sine = simd::bits_as<float>(simd::bits_as<std::uint32_t>(b) ^ sine_sign);
}

// e^x - 1 for 0 <= x < 80.
FASTPOLYSEM_INLINE Real expm1(Real x) {
    using Int = Pack<std::int32_t>;
    const Int k = simd::convert<std::int32_t>(simd::fma(x, Real::all(1.44269504f), Real::all(0.5f)));
    const Real kf = simd::convert<float>(k);
    Real r = simd::fma(kf, Real::all(-0.693359375f), x);
    r = simd::fma(kf, Real::all(2.12194440e-4f), r);
    Real p = Real::all(1.0f / 5040);
    for (float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f}) p = simd::fma(p, r, Real::all(c));
    p = simd::fma(p * r, r, r);
    const Real scale = simd::bits_as<float>((k + Int::all(127)) << 23);
    return simd::fma(scale, p, scale - Real::all(1.0f));
}

// Standard normals by Box and Muller: words (0, 1) give elements 0 and 1 of a block, words (2, 3) elements 2 and 3.
FASTPOLYSEM_INLINE std::array<Real, 4> normals(const std::array<Word, 4>& words) {
    std::array<Real, 4> z;
    for (int pair = 0; pair < 2; ++pair) {
        const Real radius = simd::sqrt(log(unit(words[2 * pair])) * Real::all(-2.0f));
        Real cosine, sine;
        cos_sin_turns(words[2 * pair + 1], cosine, sine);
        z[2 * pair] = radius * cosine;
        z[2 * pair + 1] = radius * sine;
    }
    return z;
}

// Calls use(element, value) for elements 0 .. count-1 in order; make(words) gives each block's four values, packs of
// any type.
template <class Make, class Use>
void for_each_element(const Place& place, std::int64_t count, Make make, Use use) {
    constexpr int width = Word::width;
    for (std::int64_t first = 0; first < count; first += 4 * width) {
        if (place.given_up(first)) return;
        const auto values = make(place.blocks(std::uint32_t(first / 4)));
        const std::int64_t end = count - first < 4 * width ? count - first : 4 * width;
        for (std::int64_t e = 0; e < end; ++e) use(first + e, values[std::size_t(e % 4)][int(e / 4)]);
    }
}

}  // namespace fastpolysem::random
