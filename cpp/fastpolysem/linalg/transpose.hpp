// Transposes in square blocks that fit the vector registers.
#pragma once

#include "fastpolysem/infra/matrix.hpp"

namespace fastpolysem {

template <class T>
class Block {
    using P = simd::Pack<T>;
    static constexpr int width = P::width;

  public:
    P row[width];

    FASTPOLYSEM_INLINE void load(const T* from, std::ptrdiff_t stride) {
        for (int i = 0; i < width; ++i) row[i] = P::load(from + i * stride);
    }
    FASTPOLYSEM_INLINE void store(T* to, std::ptrdiff_t stride) const {
        for (int i = 0; i < width; ++i) row[i].store(to + i * stride);
    }
    // log2(width) perfect shuffles.
    FASTPOLYSEM_INLINE void transpose() {
        P other[width];
#pragma GCC unroll 4
        for (int step = 1; step < width; step *= 2) {
#pragma GCC unroll 16
            for (int i = 0; i < width / 2; ++i) simd::zip(row[i], row[i + width / 2], other[2 * i], other[2 * i + 1]);
#pragma GCC unroll 16
            for (int i = 0; i < width; ++i) row[i] = other[i];
        }
    }
};

// to = from^T; both padded.
template <class T>
void transpose(const Matrix<T>& from, T* to, std::ptrdiff_t to_stride) {
    constexpr int width = simd::Pack<T>::width;
    Block<T> b;
    for (std::ptrdiff_t i = 0; i < to_stride; i += width)
        for (std::ptrdiff_t j = 0; j < from.stride; j += width) {
            b.load(from.row(i) + j, from.stride);
            b.transpose();
            b.store(to + j * to_stride + i, to_stride);
        }
}

// Copies the part below the diagonal (in whole blocks) to the part above it.
template <class T>
void mirror_lower(Matrix<T>& a) {
    constexpr int width = simd::Pack<T>::width;
    Block<T> b;
    for (std::ptrdiff_t i = width; i < a.stride; i += width)
        for (std::ptrdiff_t j = 0; j < i; j += width) {
            b.load(a.row(i) + j, a.stride);
            b.transpose();
            b.store(a.row(j) + i, a.stride);
        }
}

// sum = a + a^T.
template <class T>
void add_transpose(const Matrix<T>& a, Matrix<T>& sum) {
    constexpr int width = simd::Pack<T>::width;
    Block<T> b, other;
    for (std::ptrdiff_t i = 0; i < a.stride; i += width)
        for (std::ptrdiff_t j = 0; j <= i; j += width) {
            b.load(a.row(i) + j, a.stride);
            other.load(a.row(j) + i, a.stride);
            other.transpose();
            for (int r = 0; r < width; ++r) b.row[r] = b.row[r] + other.row[r];
            b.store(sum.row(i) + j, sum.stride);
            b.transpose();
            b.store(sum.row(j) + i, sum.stride);
        }
}

}  // namespace fastpolysem
