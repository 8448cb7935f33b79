// Whether all numbers are finite.
#pragma once

#include "fastpolysem/infra/matrix.hpp"
#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem {

// Of `used` numbers, in whole vectors, of each of some lines.
template <class T>
bool is_finite(const T* data, std::ptrdiff_t lines, std::ptrdiff_t width, std::ptrdiff_t used) {
    using P = simd::Pack<T>;
    simd::Mask<T> bits = {};  // of x - x, which is 0 unless x is infinite or NaN
    for (std::ptrdiff_t begin = 0; begin < lines * width; begin += width)
        for (std::ptrdiff_t e = begin; e < begin + used; e += P::width) {
            const P x = P::load(data + e);
            bits = bits | simd::bits_as<typename P::Bits>(x - x);
        }
    return simd::lanes_set<T>(bits != simd::Mask<T>{}) == 0;
}

template <class T>
bool is_finite(const Matrix<T>& of) {  // whose padding is 0
    return is_finite(of.row(0), 1, of.rows * of.stride, of.rows * of.stride);
}

}  // namespace fastpolysem
