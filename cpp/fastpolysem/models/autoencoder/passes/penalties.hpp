// The terms of the objective besides the squared error, and their gradients:
//
//     l1 scale sum |X W_enc|                          on activations
//     repulsion sum_k sum_{i<j} w_ik^2 w_jk^2         between features that share a neuron; untied: of both matrices
//
// l1 on weights is applied by the optimiser (optimizers/update.hpp).
#pragma once

#include <cmath>
#include <vector>

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/models/autoencoder/passes/hidden_row.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class Penalties {
    using P = simd::Pack<T>;

  public:
    explicit Penalties(const Settings& s) : s_(s) {
        if (s.penalises_activations() || s.repulsion != 0) row_ = Matrix<T>(1, s.n_hidden);
    }
    static double bytes(const Settings& s) {
        return s.penalises_activations() || s.repulsion != 0 ? Matrix<T>::bytes(1, s.n_hidden) : 0;
    }

    // l1 on activations, one hidden row at a time; adds its subgradient to `gradient` unless that is null.
    double activation_l1(const Matrix<T>& enc, const SparseBatch* batch, double l1, StopToken& stop,
                         Matrix<T>* gradient) {
        const std::ptrdiff_t rows = batch ? batch->rows() : enc.rows;
        const double weight = batch ? l1 * s_.scale() : l1;
        T* h = row_.row(0);
        double sum = 0;
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && stop.stopped()) break;
            hidden_row(enc, batch, b, h);
            for (std::ptrdiff_t k = 0; k < s_.n_hidden; ++k) sum += std::abs(double(h[k]));
            if (!gradient) continue;
            for (std::ptrdiff_t k = 0; k < enc.stride; k += P::width)
                simd::with_sign_of(P::all(1), P::load(h + k)).store(h + k);
            for_row<T>(batch, b, [&](std::int32_t i, T value) {
                add_scaled(P::all(value * T(weight)), h, gradient->row(i), enc.stride);
            });
        }
        return weight * sum;
    }

    // In double, features ascending.
    double repulsion(const Parameters<T>& w) const {
        double sum = 0;
        std::vector<double> before(std::size_t(s_.n_hidden));  // sum of w_ik^2 over earlier features
        for (const Matrix<T>* matrix : {&w.encoder, &w.decoder}) {
            std::fill(before.begin(), before.end(), 0.0);
            for (std::ptrdiff_t i = 0; i < matrix->rows; ++i)
                for (std::ptrdiff_t k = 0; k < matrix->columns; ++k) {
                    const double x = double(matrix->row(i)[k]), square = x * x;
                    sum += square * before[std::size_t(k)];
                    before[std::size_t(k)] += square;
                }
        }
        return s_.repulsion * sum;
    }

    // Adds 2 repulsion w_ik (sum_j w_jk^2 - w_ik^2): exactly 0 for the only feature on a neuron, whose square is the
    // only term of the sum.
    void add_repulsion(const Matrix<T>& w, Matrix<T>& to) {
        row_.clear();
        T* sum = row_.row(0);
        for (std::ptrdiff_t i = 0; i < w.rows; ++i)
            for (std::ptrdiff_t k = 0; k < w.stride; k += P::width) {
                const P x = P::load(w.row(i) + k);
                simd::fma(x, x, P::load(sum + k)).store(sum + k);
            }
        const P twice = P::all(T(2 * s_.repulsion));
        for (std::ptrdiff_t i = 0; i < w.rows; ++i)
            for (std::ptrdiff_t k = 0; k < w.stride; k += P::width) {
                const P x = P::load(w.row(i) + k), others = P::load(sum + k) - x * x;
                simd::fma(twice * x, others, P::load(to.row(i) + k)).store(to.row(i) + k);
            }
    }

  private:
    const Settings& s_;
    Matrix<T> row_;
};

}  // namespace fastpolysem::autoencoder
