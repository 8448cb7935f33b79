// The inner loop of every product: a tile of R rows and V vectors of C is kept in registers over `depth` values of k.
#pragma once

#include <cstddef>

#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem {

template <class T>
struct Tile {
    using P = simd::Pack<T>;
    static constexpr int vectors = 2;
    // The largest number that fits besides the operands. AVX-512 broadcasts from memory; others need registers for it.
    static constexpr int rows = simd::bytes == 64 ? 14 : simd::registers == 32 ? 13 : 6;
    static constexpr std::ptrdiff_t columns = vectors * P::width;

    // C_rv = fma over k of X[k][r] Y[k][v], on top of what C holds, or of zero.
    template <int R, int V>
    FASTPOLYSEM_INLINE static void accumulate(const T* x, std::ptrdiff_t x_stride, const T* y, std::ptrdiff_t y_stride,
                                              std::ptrdiff_t depth, T* c, std::ptrdiff_t c_stride, bool onto) {
        P sum[R][V];
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sum[r][v] = onto ? P::load(c + r * c_stride + v * P::width) : P::zero();
        for (std::ptrdiff_t k = 0; k < depth; ++k, x += x_stride, y += y_stride) {
            P b[V];
            for (int v = 0; v < V; ++v) b[v] = P::load(y + v * P::width);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const P a = P::all(x[r]);
                for (int v = 0; v < V; ++v) sum[r][v] = simd::fma(a, b[v], sum[r][v]);
            }
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sum[r][v].store(c + r * c_stride + v * P::width);
    }

    // The same with R chosen at run time, 1 <= r <= rows.
    template <int V, int R = rows>
    static void run(int r, const T* x, std::ptrdiff_t x_stride, const T* y, std::ptrdiff_t y_stride,
                    std::ptrdiff_t depth, T* c, std::ptrdiff_t c_stride, bool onto) {
        if (r == R) return accumulate<R, V>(x, x_stride, y, y_stride, depth, c, c_stride, onto);
        if constexpr (R > 1) run<V, R - 1>(r, x, x_stride, y, y_stride, depth, c, c_stride, onto);
    }
};

// Divides 0 .. count-1 into the smallest number of pieces of at most `most`, as evenly as possible, since a thin
// remainder would leave the pipeline idle.
struct EvenPieces {
    std::ptrdiff_t count, pieces, size, longer;  // the first `longer` pieces have one more than `size`
    EvenPieces(std::ptrdiff_t n, std::ptrdiff_t most)
        : count(n), pieces((n + most - 1) / most), size(n / pieces), longer(n % pieces) {}
    std::ptrdiff_t begin(std::ptrdiff_t i) const { return i * size + (i < longer ? i : longer); }
};

}  // namespace fastpolysem
