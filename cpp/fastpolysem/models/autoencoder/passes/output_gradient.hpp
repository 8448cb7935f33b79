// The part of a step that does not involve neurons: from G = W_enc W_dec^T, n x n, to
//
//     pre = X G + offset + b,   D = dL/dpre,   A = X^T D          ReLU, targets, importance
#pragma once

#include <algorithm>

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/linalg/add_scaled.hpp"
#include "fastpolysem/models/autoencoder/model/parameters.hpp"

namespace fastpolysem::autoencoder {

// From G to A, and the quantities derived from D for noise and bias.
template <class T>
class OutputGradient {
    using P = simd::Pack<T>;

  public:
    explicit OutputGradient(const Settings& s)
        : relu_(s.activation == Activation::relu),
          scale_(s.scale()),
          importance_(s.importance),
          factor_(2, s.n_features),
          x_(1, s.n_features),
          pre_(1, s.n_features),
          d_row_(1, s.n_features),
          a(s.n_features, s.n_features),
          d_sum(1, s.n_features) {
        if (importance_.empty()) importance_.assign(std::size_t(s.n_features), 1.0);
        for (std::size_t j = 0; j < importance_.size(); ++j) {
            factor_.row(0)[j] = T(2 * importance_[j]);
            factor_.row(1)[j] = T(2 * scale_ * importance_[j]);
        }
    }

    static double bytes(const Settings& s, bool keeps_rows) {
        const std::int64_t n = s.n_features;
        return Matrix<T>::bytes(n, n) + 6 * Matrix<T>::bytes(1, n) + (keeps_rows ? Matrix<T>::bytes(s.rows(), n) : 0);
    }

    // From G to A and d_sum. batch null: the basis batch, with scale 1. offset: null, one row (c) or one row per input;
    // bias may be null. Fills d if keep_rows. Returns the squared error if requested, otherwise 0.
    double operator()(const Matrix<T>& g, const SparseBatch* batch, const Matrix<T>* offset, const Matrix<T>* bias,
                      StopToken& stop, bool keep_rows, bool want_loss) {
        const std::ptrdiff_t stride = g.stride;
        if (!batch) {  // rows of D are rows of A
            const auto row_of_a = [&](std::ptrdiff_t b) { return a.row(b); };
            const auto keep = [&](std::ptrdiff_t b, const T* row) {
                if (keep_rows) std::copy(row, row + stride, d.row(b));
            };
            if (keep_rows) make_room(g.columns);
            return each_row(
                g.columns, batch, offset, bias, stop, want_loss, [&](auto b) { return g.row(b); }, row_of_a, keep);
        }
        a.clear();
        if (keep_rows) make_room(batch->rows());
        const auto row_of_d = [&](std::ptrdiff_t b) { return keep_rows ? d.row(b) : d_row_.row(0); };
        const auto add_to_a = [&](std::ptrdiff_t b, const T* row) {
            for_active<T>(*batch, b,
                          [&](std::int32_t i, T value) { add_scaled(P::all(value), row, a.row(i), stride); });
        };
        return each_row(
            batch->rows(), batch, offset, bias, stop, want_loss,
            [&](std::ptrdiff_t b) {
                pre_row(*batch, b, g);
                return pre_.row(0);
            },
            row_of_d, add_to_a);
    }

    // From pre, which has one row per input, to d and d_sum.
    double of_rows(const Matrix<T>& pre, const SparseBatch* batch, const Matrix<T>* bias, StopToken& stop,
                   bool want_loss) {
        make_room(pre.rows);
        return each_row(
            pre.rows, batch, nullptr, bias, stop, want_loss, [&](std::ptrdiff_t b) { return pre.row(b); },
            [&](std::ptrdiff_t b) { return d.row(b); }, [](std::ptrdiff_t, const T*) {});
    }

    // sum = A + A^T where A = 2 act'(G) (act(G) - I) is symmetric: tied, basis batch, no noise, bias or importance.
    void symmetric_sum(const Matrix<T>& g, Matrix<T>& sum) const {
        const P two = P::all(2), zero = P::zero();
        for (std::ptrdiff_t i = 0; i < g.rows; ++i) {
            const T* from = g.row(i);
            T* to = sum.row(i);
            for (std::ptrdiff_t j = 0; j < g.stride; j += P::width) {
                const P p = P::load(from + j);
                P error = p * two;
                if (relu_) error = simd::select<T>(p > zero, error, zero);
                (error + error).store(to + j);
            }
            to[i] = symmetric_entry(from[i], true);
        }
    }
    T symmetric_entry(T p, bool diagonal) const {
        const T error = (diagonal ? p - T(1) : p) * T(2);
        return relu_ && !(p > 0) ? T(0) : error + error;
    }

  private:
    void make_room(std::ptrdiff_t rows) {
        if (d.rows != rows) d = Matrix<T>(rows, a.columns);
    }

    // For each input b: from its row of pre = pre_of(b) + offset + bias to its row of D, to_of(b), which is passed to
    // `use`.
    template <class PreOf, class ToOf, class Use>
    double each_row(std::ptrdiff_t rows, const SparseBatch* batch, const Matrix<T>* offset, const Matrix<T>* bias,
                    StopToken& stop, bool want_loss, PreOf pre_of, ToOf to_of, Use use) {
        const std::ptrdiff_t stride = a.stride, n = a.columns;
        d_sum.clear();
        double loss = 0;
        const T* factor = factor_.row(batch ? 1 : 0);
        const T* constant = bias ? bias->row(0) : nullptr;
        T* x = x_.row(0);
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && stop.stopped()) break;
            if (batch) for_active<T>(*batch, b, [&](std::int32_t i, T value) { x[i] = value; });
            else x[b] = 1;
            const T* pre = pre_of(b);
            T* to = to_of(b);
            const T* shift = offset ? offset->row(offset->rows == 1 ? 0 : b) : nullptr;
            for (std::ptrdiff_t j = 0; j < stride; j += P::width) {
                P p = P::load(pre + j);
                if (shift) p = p + P::load(shift + j);
                if (constant) p = p + P::load(constant + j);
                P error = (p - P::load(x + j)) * P::load(factor + j);
                if (relu_) error = simd::select<T>(p > P::zero(), error, P::zero());
                error.store(to + j);
                (P::load(d_sum.row(0) + j) + error).store(d_sum.row(0) + j);
                if (want_loss) add_squared_error(p, x, j, n, loss);
            }
            use(b, to);
            if (batch) for_active<T>(*batch, b, [&](std::int32_t i, T) { x[i] = 0; });
            else x[b] = 0;
        }
        return batch ? loss * scale_ : loss;
    }

    // pre = row b of X G.
    void pre_row(const SparseBatch& batch, std::ptrdiff_t b, const Matrix<T>& g) {
        std::ptrdiff_t j = 0;
        for (; j + 8 * P::width <= g.stride; j += 8 * P::width) pre_columns<8>(batch, b, g, j);
        for (; j < g.stride; j += P::width) pre_columns<1>(batch, b, g, j);
    }
    template <int V>
    void pre_columns(const SparseBatch& batch, std::ptrdiff_t b, const Matrix<T>& g, std::ptrdiff_t j) {
        P sum[V] = {};
        for_active<T>(batch, b, [&](std::int32_t i, T value) {
            const P x = P::all(value);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[v] = simd::fma(x, P::load(g.row(i) + j + v * P::width), sum[v]);
        });
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[v].store(pre_.row(0) + j + v * P::width);
    }

    // In feature order at any vector width, since the loss is a stored result.
    void add_squared_error(P pre, const T* x, std::ptrdiff_t j0, std::ptrdiff_t n, double& loss) const {
        for (int lane = 0; lane < P::width && j0 + lane < n; ++lane) {
            const T y = relu_ && pre[lane] <= 0 ? T(0) : pre[lane];
            const double error = double(y) - double(x[j0 + lane]);
            loss += importance_[std::size_t(j0 + lane)] * error * error;
        }
    }

    bool relu_;
    double scale_;
    std::vector<double> importance_;
    Matrix<T> factor_;  // dL/dy = factor (y - x): on the basis batch, on the step's batch
    Matrix<T> x_, pre_, d_row_;

  public:
    Matrix<T> a;      // X^T D
    Matrix<T> d_sum;  // D^T 1, one row
    Matrix<T> d;      // D, only if requested
};

}  // namespace fastpolysem::autoencoder
