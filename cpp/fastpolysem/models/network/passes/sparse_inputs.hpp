// The first layer, at a cost proportional to the non-zeros of its inputs.
#pragma once

#include "fastpolysem/models/network/passes/panel.hpp"

namespace fastpolysem::network {

template <class T>
class SparseInputs {
    using P = simd::Pack<T>;
    static constexpr int most = simd::registers == 32 ? 16 : 8;  // vectors of a row held in registers

    struct Row {
        const std::int32_t* feature;
        const T* value;
        std::ptrdiff_t count;
        Row(const SparseRows<T>& x, std::ptrdiff_t row) {
            const auto begin = std::size_t(x.row_start[std::size_t(row)]);
            feature = x.feature.data() + begin;
            value = x.value.data() + begin;
            count = std::ptrdiff_t(std::size_t(x.row_start[std::size_t(row) + 1]) - begin);
        }
    };

    template <int V>
    FASTPOLYSEM_INLINE static void product(const Row& x, const T* w, std::ptrdiff_t stride, T* to) {
        P sum[V];
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[v] = P::zero();
        for (std::ptrdiff_t e = 0; e < x.count; ++e) {
            const T* row = w + x.feature[e] * stride;
            const P a = P::all(x.value[e]);
#pragma GCC unroll 16
            for (int v = 0; v < V; ++v) sum[v] = simd::fma(a, P::load(row + v * P::width), sum[v]);
        }
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[v].store(to + v * P::width);
    }

    template <int V>
    FASTPOLYSEM_INLINE static void scatter(const Row& x, const T* d, T* gradient, std::ptrdiff_t stride) {
        P y[V];
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) y[v] = P::load(d + v * P::width);
        for (std::ptrdiff_t e = 0; e < x.count; ++e) {
            T* row = gradient + x.feature[e] * stride;
            const P a = P::all(x.value[e]);
#pragma GCC unroll 16
            for (int v = 0; v < V; ++v) simd::fma(a, y[v], P::load(row + v * P::width)).store(row + v * P::width);
        }
    }

    // Calls body(vectors, first column) for pieces of at most `most` vectors, whose number is an integral constant.
    template <class Body>
    FASTPOLYSEM_INLINE static void each_piece(std::ptrdiff_t columns, Body body) {
        std::ptrdiff_t left = (columns + P::width - 1) / P::width, j = 0;
        for (; left > most; left -= most, j += most * P::width) body(std::integral_constant<int, most>{}, j);
        choose<most>(left, j, body);
    }
    template <int V, class Body>
    FASTPOLYSEM_INLINE static void choose(std::ptrdiff_t left, std::ptrdiff_t j, Body body) {
        if constexpr (V > 0) {
            if (left == V) return body(std::integral_constant<int, V>{}, j);
            choose<V - 1>(left, j, body);
        }
    }

  public:
    // Row r of z = chain over the non-zeros of row b0 + r of X, features ascending, of x w[feature].
    static void forward(const Step<T>& step, std::ptrdiff_t b0, std::ptrdiff_t rows, const Matrix<T>& w, Matrix<T>& z) {
        each_piece(w.columns, [&](auto vectors, std::ptrdiff_t j) __attribute__((always_inline)) {
            for (std::ptrdiff_t r = 0; r < rows; ++r)
                product<vectors>(Row(*step.sparse, step.table_row(b0 + r)), w.row(0) + j, w.stride, z.row(r) + j);
        });
    }

    // gradient[feature] += x d_r, rows ascending.
    static void backward(const Step<T>& step, std::ptrdiff_t b0, std::ptrdiff_t rows, const Matrix<T>& d,
                         Matrix<T>& gradient) {
        each_piece(gradient.columns, [&](auto vectors, std::ptrdiff_t j) __attribute__((always_inline)) {
            for (std::ptrdiff_t r = 0; r < rows; ++r)
                scatter<vectors>(Row(*step.sparse, step.table_row(b0 + r)), d.row(r) + j, gradient.row(0) + j,
                                 gradient.stride);
        });
    }
};

}  // namespace fastpolysem::network
