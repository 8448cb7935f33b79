// Matrix products with a fixed order: C_ij (+)= sum_k A_ik B_kj, each entry one fused-multiply-add chain in ascending
// k.
//
// Tiles of C live in registers; A and B are packed so that the inner loop reads both in order. Blocking k only stores a
// chain in memory for a while and never splits it, so results do not depend on any block size chosen here.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastpolysem/infra/matrix.hpp"
#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/linalg/tile.hpp"

namespace fastpolysem {

// A matrix view with two strides: entry (i, k) is data[i * row + k * column].
template <class T>
struct View {
    const T* data;
    std::ptrdiff_t row, column;
    View transposed() const { return {data, column, row}; }
};

template <class T>
View<T> view(const Matrix<T>& a) {
    return {a.row(0), a.stride, 1};
}

template <class T>
class Product {
    static constexpr std::ptrdiff_t panel = Tile<T>::columns;  // packed at a time
    static constexpr std::ptrdiff_t block = 256;               // of k

  public:
    // C has rows x columns entries. Columns are rounded up to a whole panel if C's stride has room; since the padding
    // of B is read as zero, that of C becomes zero. With upper_only, tiles entirely below the diagonal are skipped.
    // Returns early, with C unfinished, if it is told to stop.
    void operator()(View<T> a, View<T> b, Matrix<T>& c, std::ptrdiff_t rows, std::ptrdiff_t depth,
                    std::ptrdiff_t columns, StopToken& stop, bool accumulate = false, bool upper_only = false) {
        if (packed_b_.size() == 0) {
            packed_b_ = Buffer<T>(block * panel);
            tail_ = Buffer<T>(Tile<T>::rows * panel);
        }
        if (!accumulate) c.clear();
        const EvenPieces tiles(rows, Tile<T>::rows);
        for (std::ptrdiff_t k0 = 0; k0 < depth; k0 += block) {
            const std::ptrdiff_t kn = std::min(block, depth - k0);
            pack_a(a, tiles, k0, kn);
            for (std::ptrdiff_t j0 = 0; j0 < columns; j0 += panel) {
                if (stop.stopped()) return;
                pack_b(b, k0, kn, j0, std::min(panel, columns - j0));
                for (std::ptrdiff_t t = 0; t < tiles.pieces; ++t) {
                    const std::ptrdiff_t i0 = tiles.begin(t);
                    if (upper_only && i0 >= j0 + panel) break;
                    const T* pa = packed_a_.data() + i0 * kn;
                    const int r = int(tiles.begin(t + 1) - i0);
                    if (j0 + panel <= c.stride) tile(r, pa, kn, c.row(i0) + j0, c.stride);
                    else tile_with_tail(r, pa, kn, c, i0, j0);
                }
            }
        }
    }

    // Memory it needs for products of at most this many rows.
    static double bytes(std::ptrdiff_t rows) {
        return (double(rows) * block + double(block * panel + Tile<T>::rows * panel)) * sizeof(T);
    }

  private:
    // Interleaves the rows of each tile, tile after tile, so that the broadcasts of the inner loop read a single
    // stream.
    void pack_a(View<T> a, const EvenPieces& tiles, std::ptrdiff_t k0, std::ptrdiff_t kn) {
        const auto needed = std::size_t(tiles.count * block);
        if (packed_a_.size() < needed) packed_a_ = Buffer<T>(needed);
        for (std::ptrdiff_t t = 0; t < tiles.pieces; ++t) {
            const std::ptrdiff_t i0 = tiles.begin(t), r = tiles.begin(t + 1) - i0;
            T* to = packed_a_.data() + i0 * kn;
            for (std::ptrdiff_t i = 0; i < r; ++i) {
                const T* from = a.data + (i0 + i) * a.row + k0 * a.column;
                for (std::ptrdiff_t k = 0; k < kn; ++k) to[k * r + i] = from[k * a.column];
            }
        }
    }

    void pack_b(View<T> b, std::ptrdiff_t k0, std::ptrdiff_t kn, std::ptrdiff_t j0, std::ptrdiff_t jn) {
        T* to = packed_b_.data();
        if (jn < panel) std::fill(to, to + kn * panel, T(0));
        const T* from = b.data + k0 * b.row + j0 * b.column;
        if (b.column == 1) {
            for (std::ptrdiff_t k = 0; k < kn; ++k) std::copy(from + k * b.row, from + k * b.row + jn, to + k * panel);
        } else {
            for (std::ptrdiff_t j = 0; j < jn; ++j)
                for (std::ptrdiff_t k = 0; k < kn; ++k) to[k * panel + j] = from[k * b.row + j * b.column];
        }
    }

    void tile(int r, const T* pa, std::ptrdiff_t kn, T* c, std::ptrdiff_t stride) const {
        Tile<T>::template run<Tile<T>::vectors>(r, pa, r, packed_b_.data(), panel, kn, c, stride, true);
    }

    void tile_with_tail(int r, const T* pa, std::ptrdiff_t kn, Matrix<T>& c, std::ptrdiff_t i0, std::ptrdiff_t j0) {
        const std::ptrdiff_t there = c.stride - j0;
        for (int i = 0; i < r; ++i) std::copy(c.row(i0 + i) + j0, c.row(i0 + i) + c.stride, tail_.data() + i * panel);
        tile(r, pa, kn, tail_.data(), panel);
        for (int i = 0; i < r; ++i) std::copy_n(tail_.data() + i * panel, there, c.row(i0 + i) + j0);
    }

    Buffer<T> packed_a_, packed_b_, tail_;
};

}  // namespace fastpolysem
