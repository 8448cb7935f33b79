// Products whose entries are vectors over seeds: register tiles with any number of rows and columns.
#pragma once

#include <cstddef>
#include <type_traits>

#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem {

// A tile of R x C entries of a product, each a vector over seeds, in registers.
template <class P, int R, int C>
struct LaneTile {
    P sum[R][C] = {};

    // Adds a[r * a_row + d * a_step] * b[c * b_column + d * b_step] to sum_rc, one fma for each d in order.
    FASTPOLYSEM_INLINE void accumulate(const P* a, std::ptrdiff_t a_row, std::ptrdiff_t a_step, const P* b,
                                       std::ptrdiff_t b_column, std::ptrdiff_t b_step, std::ptrdiff_t depth) {
        for (std::ptrdiff_t d = 0; d < depth; ++d, a += a_step, b += b_step) {
            P x[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) x[r] = a[r * a_row];
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c) {
                const P y = b[c * b_column];
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) sum[r][c] = simd::fma(x[r], y, sum[r][c]);
            }
        }
    }
};

// Divides a matrix into tiles of most_rows x most_columns and the remainders at its edges; sizes are passed as integral
// constants.
template <class P>
struct LaneTiles {
    static constexpr int most_rows = simd::registers == 32 ? 4 : 2, most_columns = 4;

    template <class Body>
    static void run(std::ptrdiff_t rows, std::ptrdiff_t columns, Body body) {
        for_each<most_rows>(rows, [&](auto r, std::ptrdiff_t i) __attribute__((always_inline)) {
            for_each<most_columns>(columns,
                                   [&](auto c, std::ptrdiff_t j) __attribute__((always_inline)) { body(r, c, i, j); });
        });
    }
    // Calls body(size, begin) for pieces of `most`, then for the remainder.
    template <int most, class Body>
    FASTPOLYSEM_INLINE static void for_each(std::ptrdiff_t count, Body body) {
        std::ptrdiff_t i = 0;
        for (; i + most <= count; i += most) body(std::integral_constant<int, most>{}, i);
        rest<most - 1>(count - i, i, body);
    }

  private:
    template <int size, class Body>
    FASTPOLYSEM_INLINE static void rest(std::ptrdiff_t left, std::ptrdiff_t i, Body body) {
        if constexpr (size > 0) {
            if (left == size) return body(std::integral_constant<int, size>{}, i);
            rest<size - 1>(left, i, body);
        }
    }
};

}  // namespace fastpolysem
