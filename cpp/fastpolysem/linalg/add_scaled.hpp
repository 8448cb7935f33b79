// to += scale from, one multiply-add per entry: the next link of `count` parallel chains.
#pragma once

#include <cstddef>

#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem {

// count: whole vectors.
template <class T>
FASTPOLYSEM_INLINE void add_scaled(simd::Pack<T> scale, const T* from, T* to, std::ptrdiff_t count) {
    using P = simd::Pack<T>;
    for (std::ptrdiff_t j = 0; j < count; j += P::width)
        simd::fma(scale, P::load(from + j), P::load(to + j)).store(to + j);
}

}  // namespace fastpolysem
