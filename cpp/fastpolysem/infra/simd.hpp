// One vector type for every instruction set: GCC/Clang vector extensions, as wide as the machine.
//
// Only operations without an operator in the language (fused multiply-add, square root, wide multiplication) are
// written per instruction set. Every operation is correctly rounded as IEEE 754 requires, or on integers, so a lane
// computes the same bits at any width. Without FMA hardware `fma` is the correctly rounded function of the C library:
// slow, but with the same results.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define FASTPOLYSEM_INLINE inline __attribute__((always_inline))

namespace fastpolysem::simd {

#ifdef __FAST_MATH__
#error "fast-math changes results"
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BW__)
#define FASTPOLYSEM_AVX512 1
inline constexpr int bytes = 64;
inline constexpr int registers = 32;
#elif defined(__AVX2__) && defined(__FMA__)
#define FASTPOLYSEM_AVX2 1
inline constexpr int bytes = 32;
inline constexpr int registers = 16;
#else
inline constexpr int bytes = 16;
#ifdef __aarch64__
inline constexpr int registers = 32;
#else
inline constexpr int registers = 16;
#endif
#endif

inline constexpr int alignment = 64;  // of every buffer, in bytes: that of the widest vector and of a cache line

template <class T>
struct Pack {
    typedef T Vector __attribute__((vector_size(bytes)));
    using Bits = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
    static constexpr int width = bytes / int(sizeof(T));

    Vector v;

    FASTPOLYSEM_INLINE static Pack zero() { return {Vector{}}; }
    FASTPOLYSEM_INLINE static Pack all(T x) { return {x - Vector{}}; }  // x - 0 keeps the sign of -0
    FASTPOLYSEM_INLINE static Pack load(const T* p) {                   // aligned or not
        Pack r;
        std::memcpy(&r.v, p, sizeof r.v);
        return r;
    }
    FASTPOLYSEM_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof v); }
    FASTPOLYSEM_INLINE static Pack iota() {
        Pack r;
        for (int i = 0; i < width; ++i) r.v[i] = T(i);
        return r;
    }
    FASTPOLYSEM_INLINE T operator[](int lane) const { return v[lane]; }
};

template <class T>
using Mask = Pack<typename Pack<T>::Bits>;  // all bits set where true, as returned by vector comparisons

// clang-format off
template <class T> FASTPOLYSEM_INLINE Pack<T> operator+(Pack<T> a, Pack<T> b) { return {a.v + b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator-(Pack<T> a, Pack<T> b) { return {a.v - b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator-(Pack<T> a) { return {-a.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator*(Pack<T> a, Pack<T> b) { return {a.v * b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator/(Pack<T> a, Pack<T> b) { return {a.v / b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator&(Pack<T> a, Pack<T> b) { return {a.v & b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator|(Pack<T> a, Pack<T> b) { return {a.v | b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator^(Pack<T> a, Pack<T> b) { return {a.v ^ b.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator~(Pack<T> a) { return {~a.v}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator>>(Pack<T> a, int s) { return {a.v >> s}; }
template <class T> FASTPOLYSEM_INLINE Pack<T> operator<<(Pack<T> a, int s) { return {a.v << s}; }
template <class T> FASTPOLYSEM_INLINE Mask<T> operator<(Pack<T> a, Pack<T> b) { return {(typename Mask<T>::Vector)(a.v < b.v)}; }
template <class T> FASTPOLYSEM_INLINE Mask<T> operator>(Pack<T> a, Pack<T> b) { return {(typename Mask<T>::Vector)(a.v > b.v)}; }
template <class T> FASTPOLYSEM_INLINE Mask<T> operator==(Pack<T> a, Pack<T> b) { return {(typename Mask<T>::Vector)(a.v == b.v)}; }
template <class T> FASTPOLYSEM_INLINE Mask<T> operator!=(Pack<T> a, Pack<T> b) { return {(typename Mask<T>::Vector)(a.v != b.v)}; }
// clang-format on

template <class T>
FASTPOLYSEM_INLINE Pack<T> select(Mask<T> condition, Pack<T> yes, Pack<T> no) {
    return {condition.v ? yes.v : no.v};
}

// Reinterprets the bits as another type.
template <class To, class From>
FASTPOLYSEM_INLINE Pack<To> bits_as(Pack<From> a) {
    return {(typename Pack<To>::Vector)a.v};
}

// Lane-wise conversion between types of the same size, exact or rounded to nearest (to integers: towards zero).
template <class To, class From>
FASTPOLYSEM_INLINE Pack<To> convert(Pack<From> a) {
    static_assert(sizeof(To) == sizeof(From));
    return {__builtin_convertvector(a.v, typename Pack<To>::Vector)};
}

template <class T>
FASTPOLYSEM_INLINE Pack<T> fma(Pack<T> a, Pack<T> b, Pack<T> c) {
#if defined(FASTPOLYSEM_AVX512)
    if constexpr (sizeof(T) == 4)
        return {(typename Pack<T>::Vector)_mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v)};
    else return {(typename Pack<T>::Vector)_mm512_fmadd_pd((__m512d)a.v, (__m512d)b.v, (__m512d)c.v)};
#elif defined(FASTPOLYSEM_AVX2)
    if constexpr (sizeof(T) == 4)
        return {(typename Pack<T>::Vector)_mm256_fmadd_ps((__m256)a.v, (__m256)b.v, (__m256)c.v)};
    else return {(typename Pack<T>::Vector)_mm256_fmadd_pd((__m256d)a.v, (__m256d)b.v, (__m256d)c.v)};
#elif defined(__aarch64__)
    if constexpr (sizeof(T) == 4)
        return {(typename Pack<T>::Vector)vfmaq_f32((float32x4_t)c.v, (float32x4_t)a.v, (float32x4_t)b.v)};
    else return {(typename Pack<T>::Vector)vfmaq_f64((float64x2_t)c.v, (float64x2_t)a.v, (float64x2_t)b.v)};
#else
    Pack<T> r;
    for (int i = 0; i < Pack<T>::width; ++i) r.v[i] = std::fma(a.v[i], b.v[i], c.v[i]);
    return r;
#endif
}

template <class T>
FASTPOLYSEM_INLINE Pack<T> sqrt(Pack<T> a) {
#if defined(FASTPOLYSEM_AVX512)
    if constexpr (sizeof(T) == 4) return {(typename Pack<T>::Vector)_mm512_sqrt_ps((__m512)a.v)};
    else return {(typename Pack<T>::Vector)_mm512_sqrt_pd((__m512d)a.v)};
#elif defined(FASTPOLYSEM_AVX2)
    if constexpr (sizeof(T) == 4) return {(typename Pack<T>::Vector)_mm256_sqrt_ps((__m256)a.v)};
    else return {(typename Pack<T>::Vector)_mm256_sqrt_pd((__m256d)a.v)};
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4) return {(typename Pack<T>::Vector)_mm_sqrt_ps((__m128)a.v)};
    else return {(typename Pack<T>::Vector)_mm_sqrt_pd((__m128d)a.v)};
#elif defined(__aarch64__)
    if constexpr (sizeof(T) == 4) return {(typename Pack<T>::Vector)vsqrtq_f32((float32x4_t)a.v)};
    else return {(typename Pack<T>::Vector)vsqrtq_f64((float64x2_t)a.v)};
#else
    Pack<T> r;
    for (int i = 0; i < Pack<T>::width; ++i) r.v[i] = std::sqrt(a.v[i]);
    return r;
#endif
}

// Bit i set where lane i of a mask is true.
template <class T>
FASTPOLYSEM_INLINE unsigned lanes_set(Mask<T> mask) {
#if defined(FASTPOLYSEM_AVX512)
    if constexpr (sizeof(T) == 4) return _mm512_movepi32_mask((__m512i)mask.v);
    else return _mm512_movepi64_mask((__m512i)mask.v);
#elif defined(FASTPOLYSEM_AVX2)
    if constexpr (sizeof(T) == 4) return unsigned(_mm256_movemask_ps((__m256)mask.v));
    else return unsigned(_mm256_movemask_pd((__m256d)mask.v));
#else
    unsigned bits = 0;
    for (int i = 0; i < Pack<T>::width; ++i) bits |= unsigned(mask.v[i] != 0) << i;
    return bits;
#endif
}

#if defined(FASTPOLYSEM_AVX2)
// For each subset of 8 lanes, their indices in ascending order.
inline constexpr auto set_lanes = [] {
    std::array<std::array<std::uint8_t, 8>, 256> table{};
    for (unsigned bits = 0; bits < 256; ++bits) {
        std::size_t count = 0;
        for (std::uint8_t lane = 0; lane < 8; ++lane)
            if (bits >> lane & 1) table[bits][count++] = lane;
    }
    return table;
}();
#endif

// Writes the lanes whose bit is set contiguously, followed by arbitrary values: `to` must have room for a whole vector.
// Returns their number.
template <class T>
FASTPOLYSEM_INLINE int compress(unsigned bits, Pack<T> a, T* to) {
#if defined(FASTPOLYSEM_AVX512)
    if constexpr (sizeof(T) == 4) _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(__mmask16(bits), (__m512i)a.v));
    else _mm512_storeu_si512(to, _mm512_maskz_compress_epi64(__mmask8(bits), (__m512i)a.v));
    return __builtin_popcount(bits);
#else
#if defined(FASTPOLYSEM_AVX2)
    if constexpr (sizeof(T) == 4) {
        const __m128i lanes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(set_lanes[bits].data()));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                            _mm256_permutevar8x32_epi32((__m256i)a.v, _mm256_cvtepu8_epi32(lanes)));
        return __builtin_popcount(bits);
    }
#endif
    int count = 0;
    for (int lane = 0; lane < Pack<T>::width; ++lane) {  // avoids an unpredictable branch
        to[count] = a.v[lane];
        count += int(bits >> lane & 1);
    }
    return count;
#endif
}

// The first and the second half of the interleaved sequence a0 b0 a1 b1 ...
template <class T, int... I>
FASTPOLYSEM_INLINE void zip(Pack<T> a, Pack<T> b, Pack<T>& low, Pack<T>& high, std::integer_sequence<int, I...>) {
    constexpr int width = Pack<T>::width;
    low.v = __builtin_shufflevector(a.v, b.v, (I % 2 ? width + I / 2 : I / 2)...);
    high.v = __builtin_shufflevector(a.v, b.v, (width / 2 + (I % 2 ? width + I / 2 : I / 2))...);
}
template <class T>
FASTPOLYSEM_INLINE void zip(Pack<T> a, Pack<T> b, Pack<T>& low, Pack<T>& high) {
    zip(a, b, low, high, std::make_integer_sequence<int, Pack<T>::width>{});
}

template <class T>
FASTPOLYSEM_INLINE Pack<T> abs(Pack<T> a) {
    using Bits = typename Pack<T>::Bits;
    const auto magnitude = Mask<T>::all(Bits(~(Bits(1) << (8 * sizeof(T) - 1))));
    return bits_as<T>(bits_as<Bits>(a) & magnitude);
}

// size (>= 0) with the sign of a; 0 where a is 0.
template <class T>
FASTPOLYSEM_INLINE Pack<T> with_sign_of(Pack<T> size, Pack<T> a) {
    using Bits = typename Pack<T>::Bits;
    const auto top = Mask<T>::all(Bits(Bits(1) << (8 * sizeof(T) - 1)));
    const auto kept = (bits_as<Bits>(a) & top) | bits_as<Bits>(size);
    return bits_as<T>(kept & (a != Pack<T>::zero()));
}

// The 64-bit products of 32-bit lanes, split into high and low words.
FASTPOLYSEM_INLINE void multiply_wide(Pack<std::uint32_t> a, std::uint32_t b, Pack<std::uint32_t>& high,
                                      Pack<std::uint32_t>& low) {
#if defined(FASTPOLYSEM_AVX512)
    using Vector = Pack<std::uint32_t>::Vector;
    const __m512i x = (__m512i)a.v, y = _mm512_set1_epi32(int(b));
    const __m512i even = _mm512_mul_epu32(x, y);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), y);
    low.v = (Vector)_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
    high.v = (Vector)_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
#elif defined(FASTPOLYSEM_AVX2)
    using Vector = Pack<std::uint32_t>::Vector;
    const __m256i x = (__m256i)a.v, y = _mm256_set1_epi32(int(b));
    const __m256i even = _mm256_mul_epu32(x, y);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), y);
    low.v = (Vector)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    high.v = (Vector)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
#else
    for (int i = 0; i < Pack<std::uint32_t>::width; ++i) {
        const std::uint64_t p = std::uint64_t(a.v[i]) * b;
        high.v[i] = std::uint32_t(p >> 32);
        low.v[i] = std::uint32_t(p);
    }
#endif
}

}  // namespace fastpolysem::simd
