// The hidden row of one input, x W_enc: a sum over its active features, in ascending order.
#pragma once

#include <algorithm>

#include "fastpolysem/linalg/add_scaled.hpp"
#include "fastpolysem/models/autoencoder/model/parameters.hpp"

namespace fastpolysem::autoencoder {

// Calls use(feature, value) for the active features in a row of the batch, or of the basis batch.
template <class T, class Use>
void for_row(const SparseBatch* batch, std::ptrdiff_t b, Use use) {
    if (batch) for_active<T>(*batch, b, use);
    else use(std::int32_t(b), T(1));
}

template <class T>
void hidden_row(const Matrix<T>& enc, const SparseBatch* batch, std::ptrdiff_t b, T* h) {
    std::fill_n(h, enc.stride, T(0));
    for_row<T>(batch, b,
               [&](std::int32_t i, T value) { add_scaled(simd::Pack<T>::all(value), enc.row(i), h, enc.stride); });
}

}  // namespace fastpolysem::autoencoder
