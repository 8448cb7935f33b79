// The gradient in the hidden space, for dropout, where the set of dropped units differs between inputs.
//
//     H = (X W_enc + Xi) o M,   pre = H W_dec^T + b            M: the factors of the units, 0 or 1 / (1 - dropout)
//     dL/dW_dec = D^T H,   dL/dW_enc = X^T ((D W_dec) o M)     a tied model's chain goes through both, in this order
#pragma once

#include "fastpolysem/models/autoencoder/passes/gram_pass.hpp"
#include "fastpolysem/models/autoencoder/passes/hidden_row.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class HiddenPass {
    using P = simd::Pack<T>;

  public:
    HiddenPass(const Settings& s, Workspace<T>& work) : s_(s), work_(work) {}
    static double bytes(const Settings& s) {
        if (s.dropout == 0) return 0;
        return Matrix<T>::bytes(s.rows(), s.n_hidden) + Matrix<T>::bytes(s.rows(), s.n_features);
    }

    double operator()(const Parameters<T>& w, const StepData<T>& step, StopToken& stop, Want want) {
        const SparseBatch* batch = step.batch;
        const std::ptrdiff_t n = s_.n_features, m = s_.n_hidden, rows = batch ? batch->rows() : n;
        const View<T> dec = view(w.reader());
        if (hidden_.rows != rows) hidden_ = Matrix<T>(rows, m), pre_ = Matrix<T>(rows, n);
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && stop.stopped()) break;
            T* h = hidden_.row(b);
            hidden_row(w.encoder, batch, b, h);
            if (step.noise)
                for (std::ptrdiff_t k = 0; k < hidden_.stride; k += P::width)
                    (P::load(h + k) + P::load(row_of(*step.noise, b) + k)).store(h + k);
            scale_units(*step.dropout, b);
        }
        work_.product(view(hidden_), dec.transposed(), pre_, rows, m, n, stop);
        OutputGradient<T>& output = work_.output;
        const double loss =
            output.of_rows(pre_, batch, w.bias.empty() ? nullptr : &w.bias, stop, want != Want::gradient);
        if (want == Want::loss) return loss;
        Parameters<T>& gradient = work_.gradient;
        work_.product(view(output.d).transposed(), view(hidden_), gradient.reader(), n, rows, m, stop);
        work_.product(view(output.d), dec, hidden_, rows, n, m, stop);
        if (!s_.tied) gradient.encoder.clear();
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && stop.stopped()) break;
            scale_units(*step.dropout, b);
            for_row<T>(batch, b, [&](std::int32_t i, T value) {
                add_scaled(P::all(value), hidden_.row(b), gradient.encoder.row(i), hidden_.stride);
            });
        }
        return loss;
    }

  private:
    void scale_units(const Matrix<T>& dropout, std::ptrdiff_t b) {
        const T* factor = row_of(dropout, b);
        T* h = hidden_.row(b);
        for (std::ptrdiff_t k = 0; k < hidden_.stride; k += P::width)
            (P::load(h + k) * P::load(factor + k)).store(h + k);
    }
    static const T* row_of(const Matrix<T>& shared_or_not, std::ptrdiff_t b) {
        return shared_or_not.row(shared_or_not.rows == 1 ? 0 : b);
    }

    const Settings& s_;
    Workspace<T>& work_;
    Matrix<T> hidden_, pre_;  // of all inputs
};

}  // namespace fastpolysem::autoencoder
