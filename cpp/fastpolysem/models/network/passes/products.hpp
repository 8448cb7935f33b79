// The three products of a layer on a panel: weights are packed once per step, panels are read in place.
#pragma once

#include "fastpolysem/linalg/tile.hpp"
#include "fastpolysem/linalg/transpose.hpp"
#include "fastpolysem/models/network/passes/panel.hpp"

namespace fastpolysem::network {

inline constexpr std::ptrdiff_t panel_rows = 128;  // input rows per panel: whole blocks of both types

// A matrix divided into pieces of columns, stored one after the other, so that a tile's broadcasts read a single
// stream: entry (k, i0 + r) of piece i0 is data[i0 * depth + k * size of the piece + r].
template <class T>
class PackedColumns {
    using P = simd::Pack<T>;

  public:
    PackedColumns() = default;
    PackedColumns(std::ptrdiff_t depth, std::ptrdiff_t columns)
        : pieces_(columns, Tile<T>::rows), depth_(depth), data_(std::size_t(depth * columns + 64)) {}

    // Columns of the first `depth` rows. Whole vectors are copied; any excess is overwritten by the next copy.
    void pack(const T* from, std::ptrdiff_t stride) {
        for (std::ptrdiff_t t = 0; t < pieces_.pieces; ++t) {
            const std::ptrdiff_t i0 = pieces_.begin(t), r = pieces_.begin(t + 1) - i0;
            T* to = data_.data() + i0 * depth_;
            const T* row = from + i0;
            for (std::ptrdiff_t k = 0; k + 1 < depth_; ++k, to += r, row += stride)
                for (std::ptrdiff_t v = 0; v < r; v += P::width) P::load(row + v).store(to + v);
            std::copy_n(row, r, to);  // there may be no memory beyond the last row
        }
    }

    // out = packed^T y:  out_ib = chain over k of packed[k][i] y[k][b], in panels.
    void times(Panel<T> y, T* out) const {
        for (std::ptrdiff_t t = 0; t < pieces_.pieces; ++t) {
            const std::ptrdiff_t i0 = pieces_.begin(t), r = pieces_.begin(t + 1) - i0;
            const T* x = data_.data() + i0 * depth_;
            std::ptrdiff_t b = 0;
            for (; b + Tile<T>::columns <= y.used; b += Tile<T>::columns)
                tile<Tile<T>::vectors>(int(r), x, y, b, out, i0);
            if (b < y.used) tile<1>(int(r), x, y, b, out, i0);
        }
    }

  private:
    template <int vectors>
    void tile(int r, const T* x, Panel<T> y, std::ptrdiff_t b, T* out, std::ptrdiff_t i0) const {
        Tile<T>::template run<vectors>(r, x, r, y.data + b, panel_rows, depth_, out + i0 * panel_rows + b, panel_rows,
                                       false);
    }

    EvenPieces pieces_{1, 1};
    std::ptrdiff_t depth_ = 0;
    Buffer<T> data_;
};

// C_ij += chain over the rows b of a panel: h[i][b] d[b][j]. h is a panel; d stores its rows one after the other.
template <class T>
class OuterProduct {
    using P = simd::Pack<T>;

    template <int R, int V>
    FASTPOLYSEM_INLINE static void tile(const T* h, const T* d, std::ptrdiff_t d_stride, std::ptrdiff_t rows, T* c,
                                        std::ptrdiff_t c_stride) {
        P sum[R][V];
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sum[r][v] = P::load(c + r * c_stride + v * P::width);
        for (std::ptrdiff_t b = 0; b < rows; ++b, d += d_stride) {
            P y[V];
            for (int v = 0; v < V; ++v) y[v] = P::load(d + v * P::width);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const P x = P::all(h[r * panel_rows + b]);
                for (int v = 0; v < V; ++v) sum[r][v] = simd::fma(x, y[v], sum[r][v]);
            }
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sum[r][v].store(c + r * c_stride + v * P::width);
    }

    template <int V, int R = Tile<T>::rows>
    static void run(int r, const T* h, const T* d, std::ptrdiff_t d_stride, std::ptrdiff_t rows, T* c,
                    std::ptrdiff_t c_stride) {
        if (r == R) return tile<R, V>(h, d, d_stride, rows, c, c_stride);
        if constexpr (R > 1) run<V, R - 1>(r, h, d, d_stride, rows, c, c_stride);
    }

  public:
    static void add(const T* h, const Matrix<T>& d, std::ptrdiff_t rows, Matrix<T>& c) {
        const EvenPieces pieces(c.rows, Tile<T>::rows);
        const std::ptrdiff_t end = (c.columns + P::width - 1) / P::width * P::width;
        for (std::ptrdiff_t t = 0; t < pieces.pieces; ++t) {
            const std::ptrdiff_t i0 = pieces.begin(t);
            const int r = int(pieces.begin(t + 1) - i0);
            std::ptrdiff_t j = 0;
            for (; j + Tile<T>::columns <= end; j += Tile<T>::columns)
                run<Tile<T>::vectors>(r, h + i0 * panel_rows, d.row(0) + j, d.stride, rows, c.row(i0) + j, c.stride);
            if (j < end) run<1>(r, h + i0 * panel_rows, d.row(0) + j, d.stride, rows, c.row(i0) + j, c.stride);
        }
    }
};

// sums_j += entries j of the rows, one row after the other; several vectors at a time, to hide the latency of
// additions.
template <int V, class T>
FASTPOLYSEM_INLINE void add_row_vectors(const T* from, std::ptrdiff_t stride, std::ptrdiff_t rows, T* sums) {
    using P = simd::Pack<T>;
    P sum[V];
    for (int v = 0; v < V; ++v) sum[v] = P::load(sums + v * P::width);
    for (std::ptrdiff_t b = 0; b < rows; ++b, from += stride)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[v] = sum[v] + P::load(from + v * P::width);
    for (int v = 0; v < V; ++v) sum[v].store(sums + v * P::width);
}

template <class T>
void add_rows(const Matrix<T>& from, std::ptrdiff_t rows, Matrix<T>& sums) {
    constexpr int width = simd::Pack<T>::width, together = 4;
    std::ptrdiff_t j = 0;
    for (; j + (together - 1) * width < sums.columns; j += together * width)
        add_row_vectors<together>(from.row(0) + j, from.stride, rows, sums.row(0) + j);
    for (; j < sums.columns; j += width) add_row_vectors<1>(from.row(0) + j, from.stride, rows, sums.row(0) + j);
}

// Transposes a panel's lines to the columns of `to`, and back, in whole blocks.
template <class T>
void panel_to_rows(Panel<T> from, Matrix<T>& to) {
    constexpr int width = simd::Pack<T>::width;
    Block<T> block;
    for (std::ptrdiff_t j = 0; j < from.features; j += width)
        for (std::ptrdiff_t b = 0; b < from.used; b += width) {
            block.load(from.line(j) + b, from.width);
            block.transpose();
            block.store(to.row(b) + j, to.stride);
        }
}

template <class T>
void rows_to_panel(const Matrix<T>& from, Panel<T> to, std::ptrdiff_t first = 0) {
    constexpr int width = simd::Pack<T>::width;
    Block<T> block;
    for (std::ptrdiff_t j = 0; j < to.features; j += width)
        for (std::ptrdiff_t b = 0; b < to.used; b += width) {
            block.load(from.row(first + b) + j, from.stride);
            block.transpose();
            block.store(to.line(j) + b, to.width);
        }
}

}  // namespace fastpolysem::network
