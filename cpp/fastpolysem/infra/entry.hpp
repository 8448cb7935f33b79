// The entries of training's matrices: one number, or a vector of numbers with one seed in each lane.
#pragma once

#include "fastpolysem/infra/matrix.hpp"

namespace fastpolysem {

template <class E>
struct Entry {  // a number: one seed
    using Number = E;
    static constexpr int width = 1;
};
template <class T>
struct Entry<simd::Pack<T>> {  // a vector of seeds
    using Number = T;
    static constexpr int width = simd::Pack<T>::width;
};
template <class E>
using Number = typename Entry<E>::Number;

// Copies one seed's matrix into its lane.
template <class T>
void put_lane(const Matrix<T>& from, int lane, Matrix<simd::Pack<T>>& to) {
    for (std::ptrdiff_t i = 0; i < from.rows; ++i)
        for (std::ptrdiff_t k = 0; k < from.columns; ++k) to.row(i)[k].v[lane] = from.row(i)[k];
}

// ... and back.
template <class T>
void take_lane(const Matrix<simd::Pack<T>>& from, int lane, Matrix<T>& to) {
    for (std::ptrdiff_t i = 0; i < to.rows; ++i)
        for (std::ptrdiff_t k = 0; k < to.columns; ++k) to.row(i)[k] = from.row(i)[k].v[lane];
}

}  // namespace fastpolysem
