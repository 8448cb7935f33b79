// The gradient in Gram space. With a linear encoder the model meets its inputs only through
//
//     G = W_enc W_dec^T                                n x n, the one product over neurons
//     pre = X G + 1 c^T + b,   c = W_dec xi            xi: the step's noise; of its own for each input: pre = X G + Xi
//     W_dec^T + b D = dL/dpre,   A = X^T D                         ReLU, targets, importance: no neurons in it
//     dL/dW_enc = A W_dec,   dL/dW_dec = A^T W_enc + (D^T 1) xi^T   (+ D^T Xi)
//
// and a tied model adds the two: (A + A^T) W + (D^T 1) xi^T. Every entry is one chain in ascending index order.
//
// Dropout of hidden units is the exception: it is computed in the hidden space.
#pragma once

#include "batch.hpp"
#include "kernels/product.hpp"
#include "pulse.hpp"

namespace fastpolysem {

// One model's parameters with padded rows. A tied model has no decoder of its own.
template <class T>
struct Parameters {
    Matrix<T> encoder, decoder, bias;

    Parameters() = default;
    explicit Parameters(const Settings& s) : encoder(s.n_features, s.n_hidden) {
        if (!s.tied) decoder = Matrix<T>(s.n_features, s.n_hidden);
        if (s.bias) bias = Matrix<T>(1, s.n_features);
    }
    const Matrix<T>& reader() const { return decoder.empty() ? encoder : decoder; }  // what maps hidden to output
    void clear() {
        encoder.clear();
        decoder.clear();
        bias.clear();
    }
    void copy_from(const Parameters& other) {
        encoder.buffer.copy_from(other.encoder.buffer);
        decoder.buffer.copy_from(other.decoder.buffer);
        bias.buffer.copy_from(other.bias.buffer);
    }
};

// The part without neurons: from G to A, and what noise and bias need of D.
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

    // From G to A and d_sum. batch null: the basis batch, at scale 1. offset null, one row (c) or a row for each input;
    // bias may be null. Fills d if keep_rows. Returns the squared error if wanted, else 0.
    double operator()(const Matrix<T>& g, const SparseBatch* batch, const Matrix<T>* offset, const Matrix<T>* bias,
                      Pulse& pulse, bool keep_rows, bool want_loss) {
        const std::ptrdiff_t stride = g.stride;
        if (!batch) {  // a row of D is one of A
            const auto row_of_a = [&](std::ptrdiff_t b) { return a.row(b); };
            const auto keep = [&](std::ptrdiff_t b, const T* row) {
                if (keep_rows) std::copy(row, row + stride, d.row(b));
            };
            if (keep_rows) make_room(g.columns);
            return each_row(
                g.columns, batch, offset, bias, pulse, want_loss, [&](auto b) { return g.row(b); }, row_of_a, keep);
        }
        a.clear();
        if (keep_rows) make_room(batch->rows());
        const auto row_of_d = [&](std::ptrdiff_t b) { return keep_rows ? d.row(b) : d_row_.row(0); };
        const auto add_to_a = [&](std::ptrdiff_t b, const T* row) {
            for_active(*batch, b, [&](std::int32_t i, T value) { add_scaled(P::all(value), row, a.row(i), stride); });
        };
        return each_row(
            batch->rows(), batch, offset, bias, pulse, want_loss,
            [&](std::ptrdiff_t b) {
                pre_row(*batch, b, g);
                return pre_.row(0);
            },
            row_of_d, add_to_a);
    }

    // From pre, which has a row for each input, to d and d_sum.
    double of_rows(const Matrix<T>& pre, const SparseBatch* batch, const Matrix<T>* bias, Pulse& pulse,
                   bool want_loss) {
        make_room(pre.rows);
        return each_row(
            pre.rows, batch, nullptr, bias, pulse, want_loss, [&](std::ptrdiff_t b) { return pre.row(b); },
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

    template <class Use>
    static void for_active(const SparseBatch& batch, std::ptrdiff_t b, Use use) {
        for (std::int64_t e = batch.row_start[std::size_t(b)]; e < batch.row_start[std::size_t(b) + 1]; ++e)
            use(batch.feature[std::size_t(e)], T(batch.value[std::size_t(e)]));
    }

    static void add_scaled(P scale, const T* from, T* to, std::ptrdiff_t count) {
        for (std::ptrdiff_t j = 0; j < count; j += P::width)
            simd::fma(scale, P::load(from + j), P::load(to + j)).store(to + j);
    }

  private:
    void make_room(std::ptrdiff_t rows) {
        if (d.rows != rows) d = Matrix<T>(rows, a.columns);
    }

    // For each input b: from its row of pre = pre_of(b) + offset + bias to its row of D, to_of(b), which `use` is
    // shown.
    template <class PreOf, class ToOf, class Use>
    double each_row(std::ptrdiff_t rows, const SparseBatch* batch, const Matrix<T>* offset, const Matrix<T>* bias,
                    Pulse& pulse, bool want_loss, PreOf pre_of, ToOf to_of, Use use) {
        const std::ptrdiff_t stride = a.stride, n = a.columns;
        d_sum.clear();
        double loss = 0;
        const T* factor = factor_.row(batch ? 1 : 0);
        const T* constant = bias ? bias->row(0) : nullptr;
        T* x = x_.row(0);
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && pulse.stopped()) break;
            if (batch) for_active(*batch, b, [&](std::int32_t i, T value) { x[i] = value; });
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
            if (batch) for_active(*batch, b, [&](std::int32_t i, T) { x[i] = 0; });
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
        for_active(batch, b, [&](std::int32_t i, T value) {
            const P x = P::all(value);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[v] = simd::fma(x, P::load(g.row(i) + j + v * P::width), sum[v]);
        });
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[v].store(pre_.row(0) + j + v * P::width);
    }

    // In feature order whatever the vector's width: the loss is a stored result.
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
    Matrix<T> d;      // D, only if asked for
};

// What a step is made of besides the weights. Each is null for none; noise and dropout factors have one row, shared by
// the inputs, or a row for each.
template <class T>
struct StepData {
    const SparseBatch* batch = nullptr;  // null: the basis batch
    const Matrix<T>* noise = nullptr;
    const Matrix<T>* dropout = nullptr;
    double l1 = 0;  // matters on activations only
};

// The gradient of the smooth part (and of l1 on activations) for one model, one step.
template <class T>
class GramPass {
    using P = simd::Pack<T>;

  public:
    explicit GramPass(const Settings& s) : gradient(s), s_(s), output_(s), g_(s.n_features, s.n_features) {}

    // Returns the squared error if wanted.
    double operator()(const Parameters<T>& w, const StepData<T>& step, Pulse& pulse, bool want_loss = false,
                      bool want_gradient = true) {
        const double loss = step.dropout ? in_hidden_space(w, step, pulse, want_loss, want_gradient)
                                         : in_gram_space(w, step, pulse, want_loss, want_gradient);
        if (!want_gradient) return loss;
        if (!w.bias.empty()) std::copy_n(output_.d_sum.row(0), output_.d_sum.stride, gradient.bias.row(0));
        if (step.l1 != 0 && s_.l1_target == L1Target::activations)
            activation_l1(w.encoder, step.batch, step.l1, pulse, true);
        if (s_.repulsion != 0) {
            add_repulsion(w.encoder, gradient.encoder);
            if (!s_.tied) add_repulsion(w.decoder, gradient.decoder);
        }
        return loss;
    }

    // l1 scale sum |X W_enc|, the hidden row of one input at a time; adds its subgradient if wanted.
    double activation_l1(const Matrix<T>& enc, const SparseBatch* batch, double l1, Pulse& pulse, bool want_gradient) {
        const std::ptrdiff_t rows = batch ? batch->rows() : enc.rows;
        const double weight = batch ? l1 * s_.scale() : l1;
        if (row_.empty()) row_ = Matrix<T>(1, s_.n_hidden);
        double sum = 0;
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && pulse.stopped()) break;
            T* h = row_.row(0);
            hidden_row(enc, batch, b, h);
            for (std::ptrdiff_t k = 0; k < s_.n_hidden; ++k) sum += std::abs(double(h[k]));
            if (!want_gradient) continue;
            for (std::ptrdiff_t k = 0; k < enc.stride; k += P::width)
                simd::with_sign_of(P::all(1), P::load(h + k)).store(h + k);
            for_row(batch, b, [&](std::int32_t i, T value) {
                OutputGradient<T>::add_scaled(P::all(value * T(weight)), h, gradient.encoder.row(i), enc.stride);
            });
        }
        return weight * sum;
    }

    // repulsion sum_k sum_{i<j} w_ik^2 w_jk^2, in double, features ascending; untied: of both matrices.
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

    Parameters<T> gradient;

  private:
    double in_gram_space(const Parameters<T>& w, const StepData<T>& step, Pulse& pulse, bool want_loss,
                         bool want_gradient) {
        const SparseBatch* batch = step.batch;
        const Matrix<T>* noise = step.noise;
        const std::ptrdiff_t n = s_.n_features, m = s_.n_hidden, rows = batch ? batch->rows() : n;
        const View<T> enc = view(w.encoder), dec = view(w.reader());
        product_(enc, dec.transposed(), g_, n, m, n, pulse, false, s_.tied);
        if (s_.tied)
            for (std::ptrdiff_t i = 1; i < n; ++i)
                for (std::ptrdiff_t j = 0; j < i; ++j) g_.row(i)[j] = g_.row(j)[i];
        const bool own_noise = noise && s_.noise_sharing == NoiseSharing::input;
        if (noise) {
            if (offset_.rows != noise->rows) offset_ = Matrix<T>(noise->rows, n);
            product_(view(*noise), dec.transposed(), offset_, noise->rows, m, n, pulse);
        }
        const double loss = output_(g_, batch, noise ? &offset_ : nullptr, w.bias.empty() ? nullptr : &w.bias, pulse,
                                    own_noise && want_gradient, want_loss);
        if (!want_gradient) return loss;
        if (s_.tied) {
            symmetrise(output_.a);
            product_(view(output_.a), enc, gradient.encoder, n, n, m, pulse);
        } else {
            product_(view(output_.a), dec, gradient.encoder, n, n, m, pulse);
            product_(view(output_.a).transposed(), enc, gradient.decoder, n, n, m, pulse);
        }
        if (own_noise) {
            product_(view(output_.d).transposed(), view(*noise), reader_gradient(), n, rows, m, pulse, true);
        } else if (noise) {
            for (std::ptrdiff_t i = 0; i < n; ++i)
                OutputGradient<T>::add_scaled(P::all(output_.d_sum.row(0)[i]), noise->row(0), reader_gradient().row(i),
                                              noise->stride);
        }
        return loss;
    }

    // Which hidden units are dropped is another matter for each input:
    //
    //     H = (X W_enc + Xi) o M,   pre = H W_dec^T + b            M: the factors of the units, 0 or 1 / (1 - dropout)
    //     dL/dW_dec = D^T H,   dL/dW_enc = X^T ((D W_dec) o M)     a tied model's chain goes through both, in this
    //     order
    double in_hidden_space(const Parameters<T>& w, const StepData<T>& step, Pulse& pulse, bool want_loss,
                           bool want_gradient) {
        const SparseBatch* batch = step.batch;
        const std::ptrdiff_t n = s_.n_features, m = s_.n_hidden, rows = batch ? batch->rows() : n;
        const View<T> dec = view(w.reader());
        if (hidden_.rows != rows) hidden_ = Matrix<T>(rows, m), pre_ = Matrix<T>(rows, n);
        const auto scale_units = [&](std::ptrdiff_t b) {
            const T* factor = row_of(*step.dropout, b);
            T* h = hidden_.row(b);
            for (std::ptrdiff_t k = 0; k < hidden_.stride; k += P::width)
                (P::load(h + k) * P::load(factor + k)).store(h + k);
        };
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && pulse.stopped()) break;
            T* h = hidden_.row(b);
            hidden_row(w.encoder, batch, b, h);
            if (step.noise)
                for (std::ptrdiff_t k = 0; k < hidden_.stride; k += P::width)
                    (P::load(h + k) + P::load(row_of(*step.noise, b) + k)).store(h + k);
            scale_units(b);
        }
        product_(view(hidden_), dec.transposed(), pre_, rows, m, n, pulse);
        const double loss = output_.of_rows(pre_, batch, w.bias.empty() ? nullptr : &w.bias, pulse, want_loss);
        if (!want_gradient) return loss;
        product_(view(output_.d).transposed(), view(hidden_), reader_gradient(), n, rows, m, pulse);
        product_(view(output_.d), dec, hidden_, rows, n, m, pulse);
        if (!s_.tied) gradient.encoder.clear();
        for (std::ptrdiff_t b = 0; b < rows; ++b) {
            if (b % 128 == 127 && pulse.stopped()) break;
            scale_units(b);
            for_row(batch, b, [&](std::int32_t i, T value) {
                OutputGradient<T>::add_scaled(P::all(value), hidden_.row(b), gradient.encoder.row(i), hidden_.stride);
            });
        }
        return loss;
    }

    // The gradient of `repulsion`, 2 repulsion w_ik (sum_j w_jk^2 - w_ik^2): exactly 0 for a feature alone on its
    // neuron, whose square is all that the sum holds.
    void add_repulsion(const Matrix<T>& w, Matrix<T>& to) {
        if (row_.empty()) row_ = Matrix<T>(1, s_.n_hidden);
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

    Matrix<T>& reader_gradient() { return s_.tied ? gradient.encoder : gradient.decoder; }

    static const T* row_of(const Matrix<T>& shared_or_not, std::ptrdiff_t b) {
        return shared_or_not.row(shared_or_not.rows == 1 ? 0 : b);
    }

    // Calls use(feature, value) for what is on in a row of the batch, or of the basis batch.
    template <class Use>
    static void for_row(const SparseBatch* batch, std::ptrdiff_t b, Use use) {
        if (batch) OutputGradient<T>::for_active(*batch, b, use);
        else use(std::int32_t(b), T(1));
    }

    static void hidden_row(const Matrix<T>& enc, const SparseBatch* batch, std::ptrdiff_t b, T* h) {
        std::fill_n(h, enc.stride, T(0));
        for_row(batch, b, [&](std::int32_t i, T value) {
            OutputGradient<T>::add_scaled(P::all(value), enc.row(i), h, enc.stride);
        });
    }

    static void symmetrise(Matrix<T>& a) {  // A + A^T in place
        for (std::ptrdiff_t i = 0; i < a.rows; ++i)
            for (std::ptrdiff_t j = 0; j <= i; ++j) a.row(i)[j] = a.row(j)[i] = a.row(i)[j] + a.row(j)[i];
    }

    const Settings& s_;
    OutputGradient<T> output_;
    Product<T> product_;
    Matrix<T> g_, offset_, row_;
    Matrix<T> hidden_, pre_;  // of all inputs, with dropout
};

}  // namespace fastpolysem
