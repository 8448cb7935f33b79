// The gradient in Gram space. With a linear encoder the model depends on its inputs only through
//
//     G = W_enc W_dec^T                                             n x n, the one product over neurons
//     pre = X G + 1 c^T + b,   c = W_dec xi                         xi: the noise, shared by all inputs
//     D = dL/dpre,   A = X^T D                                      ReLU, targets, importance: no neurons in it
//     dL/dW_enc = A W_dec,   dL/dW_dec = A^T W_enc + (D^T 1) xi^T
//
// If each input has noise of its own, a row of Xi, then Xi W_dec^T replaces 1 c^T and D^T Xi replaces (D^T 1) xi^T. A
// tied model adds the two gradients: (A + A^T) W + (D^T 1) xi^T. Every entry is one chain in ascending index order.
#pragma once

#include "fastpolysem/linalg/product.hpp"
#include "fastpolysem/models/autoencoder/passes/output_gradient.hpp"

namespace fastpolysem::autoencoder {

// State shared by the passes.
template <class T>
struct Workspace {
    explicit Workspace(const Settings& s) : output(s), gradient(s) {}
    static double bytes(const Settings& s) {
        const bool keeps_rows = s.dropout != 0 || (s.noise.kind != Noise::none && s.noise_sharing == Sharing::input);
        const std::int64_t most = std::max({s.n_features, s.rows(s.noise_sharing), s.dropout != 0 ? s.rows() : 0});
        return OutputGradient<T>::bytes(s, keeps_rows) + Product<T>::bytes(most) + Parameters<T>::bytes(s);
    }

    OutputGradient<T> output;
    Product<T> product;
    Parameters<T> gradient;
};

enum class Want { loss, gradient, both };

template <class T>
class GramPass {
    using P = simd::Pack<T>;

  public:
    GramPass(const Settings& s, Workspace<T>& work) : s_(s), work_(work), g_(s.n_features, s.n_features) {}
    static double bytes(const Settings& s) {
        const std::int64_t n = s.n_features;
        return Matrix<T>::bytes(n, n) +
               (s.noise.kind == Noise::none ? 0 : Matrix<T>::bytes(s.rows(s.noise_sharing), n));
    }

    // Returns the squared error if requested; all of the gradient except that of the bias is in the workspace.
    double operator()(const Parameters<T>& w, const StepData<T>& step, StopToken& stop, Want want) {
        const std::ptrdiff_t n = s_.n_features, m = s_.n_hidden;
        const View<T> enc = view(w.encoder), dec = view(w.reader());
        OutputGradient<T>& output = work_.output;
        work_.product(enc, dec.transposed(), g_, n, m, n, stop, false, s_.tied);
        if (s_.tied) mirror_upper();
        const Matrix<T>* noise = step.noise;
        if (noise) {
            if (offset_.rows != noise->rows) offset_ = Matrix<T>(noise->rows, n);
            work_.product(view(*noise), dec.transposed(), offset_, noise->rows, m, n, stop);
        }
        const bool own_noise = noise && s_.noise_sharing == Sharing::input;
        const double loss = output(g_, step.batch, noise ? &offset_ : nullptr, w.bias.empty() ? nullptr : &w.bias, stop,
                                   own_noise && want != Want::loss, want != Want::gradient);
        if (want == Want::loss) return loss;
        Parameters<T>& gradient = work_.gradient;
        if (s_.tied) {
            symmetrise(output.a);
            work_.product(view(output.a), enc, gradient.encoder, n, n, m, stop);
        } else {
            work_.product(view(output.a), dec, gradient.encoder, n, n, m, stop);
            work_.product(view(output.a).transposed(), enc, gradient.decoder, n, n, m, stop);
        }
        if (own_noise) {
            work_.product(view(output.d).transposed(), view(*noise), gradient.reader(), n, noise->rows, m, stop, true);
        } else if (noise) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                add_scaled(P::all(output.d_sum.row(0)[i]), noise->row(0), gradient.reader().row(i), noise->stride);
        }
        return loss;
    }

  private:
    void mirror_upper() {  // the product computed the tiles on and above the diagonal
        for (std::ptrdiff_t i = 1; i < g_.rows; ++i)
            for (std::ptrdiff_t j = 0; j < i; ++j) g_.row(i)[j] = g_.row(j)[i];
    }
    static void symmetrise(Matrix<T>& a) {  // A + A^T in place
        for (std::ptrdiff_t i = 0; i < a.rows; ++i)
            for (std::ptrdiff_t j = 0; j <= i; ++j) a.row(i)[j] = a.row(j)[i] = a.row(i)[j] + a.row(j)[i];
    }

    const Settings& s_;
    Workspace<T>& work_;
    Matrix<T> g_, offset_;
};

}  // namespace fastpolysem::autoencoder
