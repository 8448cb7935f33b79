// From random words to numbers, in float32 and with the operations below only, so that the bits are the same on every
// machine.
#pragma once

#include "fastpolysem/random/philox.hpp"

namespace fastpolysem::random {

using simd::Pack;
using Real = Pack<float>;

// Words in the order of signed integers, whose vectors take one instruction to compare.
FASTPOLYSEM_INLINE Pack<std::int32_t> in_signed_order(Word w) {
    return simd::bits_as<std::int32_t>(w ^ Word::all(1u << 31));
}

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

}  // namespace fastpolysem::random
