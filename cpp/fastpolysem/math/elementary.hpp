// Elementary functions with the same bits in every lane, at every vector width: no libm, no contraction, no tables.
// Errors are given in units in the last place of the exact result and hold over the whole range, for float and double.
#pragma once

#include "fastpolysem/infra/simd.hpp"
#include "fastpolysem/math/coefficients.hpp"

namespace fastpolysem::math {

using simd::Mask;
using simd::Pack;

template <class T>
struct Format;
template <>
struct Format<float> {
    static constexpr int fraction_bits = 23, bias = 127;
    static constexpr std::int32_t sqrt_half = 0x3F3504F3;  // as bits
    static constexpr float to_integer = 0x1.8p23f;         // adding it rounds to an integer in the low bits
    static constexpr float ln2_high = 0x1.63p-1f;          // exact when multiplied by any exponent
    static constexpr float ln2_low = -0x1.bd0106p-13f;
    static constexpr float least_normal = 0x1p-126f, to_normal = 0x1p24f;
    static constexpr int to_normal_exponent = 24;
    static constexpr float exp_low = -104, exp_high = 89;  // beyond: 0 and infinity
    static constexpr float erf_high = 4;                   // beyond: 1
};
template <>
struct Format<double> {
    static constexpr int fraction_bits = 52, bias = 1023;
    static constexpr std::int64_t sqrt_half = 0x3FE6A09E667F3BCD;
    static constexpr double to_integer = 0x1.8p52;
    static constexpr double ln2_high = 0x1.62e42fee00000p-1;
    static constexpr double ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double least_normal = 0x1p-1022, to_normal = 0x1p54;
    static constexpr int to_normal_exponent = 54;
    static constexpr double exp_low = -746, exp_high = 710;
    static constexpr double erf_high = 6;
};

// Horner's scheme, highest power first.
template <class T, int count>
FASTPOLYSEM_INLINE Pack<T> polynomial(const T (&coefficients)[count], Pack<T> x) {
    Pack<T> p = Pack<T>::all(coefficients[0]);
#pragma GCC unroll 32
    for (int i = 1; i < count; ++i) p = simd::fma(p, x, Pack<T>::all(coefficients[i]));
    return p;
}

template <class T>
FASTPOLYSEM_INLINE Pack<T> with_sign(Pack<T> size, Pack<T> sign) {  // size >= 0; the sign of zero and of NaN too
    using Bits = typename Pack<T>::Bits;
    const auto top = Mask<T>::all(Bits(Bits(1) << (8 * sizeof(T) - 1)));
    return simd::bits_as<T>((simd::bits_as<Bits>(sign) & top) | simd::bits_as<Bits>(size));
}

// 2^k for exponents of normal numbers.
template <class T>
FASTPOLYSEM_INLINE Pack<T> power_of_two(Mask<T> k) {
    using F = Format<T>;
    using Bits = typename Pack<T>::Bits;
    return simd::bits_as<T>((k + Mask<T>::all(Bits(F::bias))) << F::fraction_bits);
}

// e^x within 1.1 units, including subnormal results.
//     x = k ln 2 + r,  e^x = 2^k (1 + r + r^2 P(r))
template <class T>
FASTPOLYSEM_INLINE Pack<T> exp(Pack<T> x) {
    using F = Format<T>;
    using P = Pack<T>;
    using Bits = typename P::Bits;
    x = simd::select<T>(x > P::all(F::exp_high), P::all(F::exp_high), x);  // NaN passes both
    x = simd::select<T>(x < P::all(F::exp_low), P::all(F::exp_low), x);
    const P shifted = simd::fma(x, P::all(T(0x1.71547652b82fep+0)), P::all(F::to_integer));
    const P rounded = shifted - P::all(F::to_integer);
    const Mask<T> k = simd::bits_as<Bits>(shifted) - simd::bits_as<Bits>(P::all(F::to_integer));
    P r = simd::fma(rounded, P::all(-F::ln2_high), x);
    r = simd::fma(rounded, P::all(-F::ln2_low), r);
    const P e = P::all(T(1)) + simd::fma(polynomial(Coefficients<T>::exp, r), r * r, r);
    const Mask<T> half = k >> 1;  // in two steps: 2^k itself may overflow or be subnormal
    return e * power_of_two<T>(half) * power_of_two<T>(k - half);
}

// ln(u) + correction for u >= 0.  u = 2^e (1 + f),  s = f / (2 + f),  ln(1 + f) = f - (f^2/2 - s (f^2/2 + s^2 P(s^2)))
template <class T>
FASTPOLYSEM_INLINE Pack<T> log_plus(Pack<T> u, Pack<T> correction) {
    using F = Format<T>;
    using P = Pack<T>;
    using Bits = typename P::Bits;
    const auto tiny = u < P::all(F::least_normal);
    const P scaled = simd::select<T>(tiny, u * P::all(F::to_normal), u);
    const Mask<T> bits = simd::bits_as<Bits>(scaled) - Mask<T>::all(F::sqrt_half);
    const Mask<T> exponent = (bits >> F::fraction_bits) - (tiny & Mask<T>::all(Bits(F::to_normal_exponent)));
    // Small integers to floating point without a conversion, which not every machine has for 64 bits.
    const P e = simd::bits_as<T>(exponent + simd::bits_as<Bits>(P::all(F::to_integer))) - P::all(F::to_integer);
    const Mask<T> fraction = Mask<T>::all(Bits((Bits(1) << F::fraction_bits) - 1));
    const P f = simd::bits_as<T>((bits & fraction) + Mask<T>::all(F::sqrt_half)) - P::all(T(1));
    const P s = f / (f + P::all(T(2))), z = s * s, half_square = P::all(T(0.5)) * f * f;
    const P rest = half_square + z * polynomial(Coefficients<T>::log, z);
    const P low = simd::fma(s, rest, simd::fma(e, P::all(F::ln2_low), correction));
    const P y = simd::fma(e, P::all(F::ln2_high), f - (half_square - low));
    const P infinity = P::all(T(__builtin_inf()));
    return simd::select<T>(u == P::zero(), -infinity, simd::select<T>(u < infinity, y, u));  // keeps infinity and NaN
}

// Natural logarithm within 1 unit; NaN below zero.
template <class T>
FASTPOLYSEM_INLINE Pack<T> log(Pack<T> x) {
    const Pack<T> y = log_plus(x, Pack<T>::zero());
    return simd::select<T>(x < Pack<T>::zero(), Pack<T>::all(T(__builtin_nan(""))), y);
}

// ln(1 + x) within 1 unit, near zero too.
template <class T>
FASTPOLYSEM_INLINE Pack<T> log1p(Pack<T> x) {
    using P = Pack<T>;
    const P one = P::all(T(1)), infinity = P::all(T(__builtin_inf()));
    const P u = one + x;
    const P lost = simd::select<T>(x > one, one - (u - x), x - (u - one));  // the part of x lost in rounding u
    const P y = log_plus(u, lost / u);
    const P inside = simd::select<T>((x == P::zero()) | (x == infinity), x, y);
    const P outside = simd::select<T>(u == P::zero(), -infinity, P::all(T(__builtin_nan(""))));
    return simd::select<T>((u < P::zero()) | (u == P::zero()), outside, inside);
}

// Hyperbolic tangent within 1.6 units.
//     |x| < 0.625: x + x^3 P(x^2), else 1 - 2 / (e^2x + 1)
template <class T>
FASTPOLYSEM_INLINE Pack<T> tanh(Pack<T> x) {
    using P = Pack<T>;
    const P a = simd::abs(x), z = a * a, one = P::all(T(1)), two = P::all(T(2));
    const P small = simd::fma(a * z, polynomial(Coefficients<T>::tanh, z), a);
    const P large = one - two / (exp(a + a) + one);
    return with_sign(simd::select<T>(a < P::all(T(0.625)), small, large), x);
}

// The error function within 1.4 units.
//     |x| < 1: x + x P(x^2), else 1 - e^-Q(x)
template <class T>
FASTPOLYSEM_INLINE Pack<T> erf(Pack<T> x) {
    using P = Pack<T>;
    const P a = simd::abs(x), high = P::all(Format<T>::erf_high);
    const P small = simd::fma(a, polynomial(Coefficients<T>::erf, a * a), a);
    const P bounded = simd::select<T>(a > high, high, a);
    const P large = P::all(T(1)) - exp(-polynomial(Coefficients<T>::erfc_exponent, bounded));
    return with_sign(simd::select<T>(a < P::all(T(1)), small, large), x);
}

// cos(pi x) within 1.5 units for |x| <= 2^20; the schedules need 0 <= x <= 1.
inline double cos_pi(double x) {
    using P = Pack<double>;
    const double quarters = (2 * x + Format<double>::to_integer) - Format<double>::to_integer;  // to the nearest
    const double r = x - 0.5 * quarters;                                                        // exact; |r| <= 1/4
    const auto quadrant = static_cast<std::int64_t>(quarters) & 3;
    const P z = P::all(r * r);
    const double sine = (polynomial(sin_pi_coefficients, z) * P::all(r))[0];
    const double cosine = simd::fma(polynomial(cos_pi_coefficients, z), z, P::all(1.0))[0];
    const double y = quadrant & 1 ? sine : cosine;
    return quadrant == 1 || quadrant == 2 ? -y : y;
}

// One number: lane 0 of the vector.
inline double exp(double x) { return exp(Pack<double>::all(x))[0]; }
inline double log(double x) { return log(Pack<double>::all(x))[0]; }
inline double log1p(double x) { return log1p(Pack<double>::all(x))[0]; }
inline double tanh(double x) { return tanh(Pack<double>::all(x))[0]; }
inline double erf(double x) { return erf(Pack<double>::all(x))[0]; }

}  // namespace fastpolysem::math
