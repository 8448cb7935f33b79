// The pass as defined: plain loops, one chain per number. The fast kernels must agree with it bit for bit.
//
//     Z_l = H_{l-1} W_l, then + b_l        chain over inputs; the first layer's over the non-zeros of X
//     S_l = act(Z_l) (+ H_{l-1} if residual),  H_l = (S_l + xi_l) o M_l
//     dH_{l-1} = dZ_l W_l^T                chain over outputs, then + dS_l if layer l is residual
//     dS_l = dH_l o M_l,  dZ_l = (dS_l + l1 scale sign(act(Z_l))) o act'(Z_l)
//     dW_l = H_{l-1}^T dZ_l                chain over rows as shown; the first layer's over rows where x is not zero
//     db_l = 1^T dZ_l                      sum over rows as shown
#pragma once

#include <cmath>

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/models/network/model/disturbances.hpp"
#include "fastpolysem/models/network/passes/loss.hpp"

namespace fastpolysem::network {

template <class T>
class GenericPass {
    using P = simd::Pack<T>;
    using Lines = Matrix<T>;  // a panel as wide as the batch

  public:
    explicit GenericPass(const Settings& s) : gradient(s), s_(s), loss_(s) {}

    // Returns the sum over rows of the loss, without the scale, if requested, otherwise 0. If requested, fills
    // `gradient` with that of everything except l1 on weights.
    double operator()(const Parameters<T>& w, const Step<T>& step, bool want_loss, bool want_gradient,
                      StopToken& stop) {
        w_ = &w;
        step_ = &step;
        stop_ = &stop;
        make_room();
        for (std::size_t l = 0; l < s_.layers.size(); ++l) forward(l);
        const double loss = want_loss ? total_loss() : 0;
        if (!want_gradient) return loss;
        gradient.clear();
        output_gradient();
        for (std::size_t l = s_.layers.size(); l-- > 0;) backward(l);
        return loss;
    }

    static double bytes(const Settings& s) {
        const std::int64_t rows = s.rows();
        double sum = Parameters<T>::bytes(s) + Matrix<T>::bytes(s.n_inputs(), rows) +
                     Matrix<T>::bytes(s.n_outputs(), rows) + 4.0 * double(rows);
        for (const Layer& layer : s.layers) sum += 5 * Matrix<T>::bytes(layer.outputs, rows);
        return sum;
    }

    Parameters<T> gradient;

  private:
    Panel<T> panel(Lines& a) const { return {a.row(0), a.rows, a.stride, a.stride}; }

    void make_room() {
        if (labels_.size() == std::size_t(Lines::padded(step_->rows)) && !value_.empty()) return;
        slope_.clear(), value_.clear(), hidden_.clear(), d_.clear(), d_sum_.clear();
        for (const Layer& layer : s_.layers)
            for (auto* lines : {&slope_, &value_, &hidden_, &d_, &d_sum_})
                lines->emplace_back(layer.outputs, step_->rows);
        x_ = Lines(s_.n_inputs(), step_->rows);
        target_ = Lines(s_.n_outputs(), step_->rows);
        labels_.assign(std::size_t(x_.stride), -1);
    }

    T weight(std::size_t l, std::ptrdiff_t i, std::ptrdiff_t j) const {
        return s_.tied && l == 1 ? w_->weights[0].row(j)[i] : w_->weights[l].row(i)[j];
    }
    const Lines& input(std::size_t l) const { return l == 0 ? x_ : hidden_[l - 1]; }
    static T factor(const Matrix<T>& rows, std::ptrdiff_t b, std::ptrdiff_t j) {
        return rows.row(rows.rows == 1 ? 0 : b)[j];
    }

    void forward(std::size_t l) {
        const Layer& layer = s_.layers[l];
        Lines& z = slope_[l];
        z.clear();
        if (l == 0) x_.clear();
        for (std::ptrdiff_t b = 0; b < step_->rows && !stop_->stopped(); ++b) {
            const auto add_input = [&](std::ptrdiff_t i, T x) {
                if (l == 0) x_.row(i)[b] = x;
                for (std::ptrdiff_t j = 0; j < layer.outputs; ++j)
                    z.row(j)[b] = std::fma(x, weight(l, i, j), z.row(j)[b]);
            };
            if (l == 0) step_->each_input(b, add_input);
            else
                for (std::ptrdiff_t i = 0; i < layer.inputs; ++i) add_input(i, hidden_[l - 1].row(i)[b]);
        }
        activate(layer.activation, Bias<T>{layer.bias ? w_->biases[l].row(0) : nullptr}, panel(z), panel(value_[l]));
        const Matrix<T>*noise = step_->noise_of(l), *dropout = step_->dropout_of(l);
        for (std::ptrdiff_t j = 0; j < layer.outputs; ++j)
            for (std::ptrdiff_t b = 0; b < step_->rows; ++b) {
                T h = value_[l].row(j)[b];
                if (layer.residual) h += input(l).row(j)[b];
                if (noise) h += factor(*noise, b, j);
                if (dropout) h *= factor(*dropout, b, j);
                hidden_[l].row(j)[b] = h;
            }
    }

    T target(std::ptrdiff_t b, std::ptrdiff_t j) const {
        if (s_.loss == Loss::cross_entropy) return 0;
        if (s_.elementwise()) return target_of(s_.target, x_.row(j)[b]);
        return step_->targets->row(step_->table_row(b))[j];
    }

    double total_loss() const {
        double sum = 0;
        for (std::ptrdiff_t b = 0; b < step_->rows; ++b)
            loss_.add_row(
                sum, [&](std::ptrdiff_t j) { return value_.back().row(j)[b]; },
                [&](std::ptrdiff_t j) { return target(b, j); },
                step_->labels ? step_->labels[step_->table_row(b)] : -1);
        return sum;
    }

    void output_gradient() {
        Lines& y = d_.back();
        y.buffer.copy_from(value_.back().buffer);
        for (std::ptrdiff_t b = 0; b < step_->rows; ++b) {
            if (step_->labels) labels_[std::size_t(b)] = step_->labels[step_->table_row(b)];
            for (std::ptrdiff_t j = 0; j < s_.n_outputs(); ++j) {
                if (s_.loss == Loss::power) y.row(j)[b] -= target(b, j);
                else target_.row(j)[b] = target(b, j);
            }
        }
        loss_(panel(y), panel(target_), labels_.data());
    }

    // From dH_l (for the last layer, dY) in d_[l] to the gradients of the layer and to dH_{l-1}.
    void backward(std::size_t l) {
        const Layer& layer = s_.layers[l];
        const Matrix<T>* dropout = step_->dropout_of(l);
        const T l1 = T(layer.l1_activations * step_->l1_factor * s_.scale);
        for (std::ptrdiff_t j = 0; j < layer.outputs; ++j)
            for (std::ptrdiff_t b = 0; b < step_->rows; ++b) {
                T& d = d_[l].row(j)[b];
                if (dropout) d *= factor(*dropout, b, j);
                d_sum_[l].row(j)[b] = d;
                const T a = value_[l].row(j)[b];
                if (l1 != 0) d += a > 0 ? l1 : a < 0 ? -l1 : T(0);
                const T slope = slope_[l].row(j)[b];
                d = layer.activation == Activation::relu ? (slope > 0 ? d : T(0)) : d * slope;
            }
        if (!layer.frozen) layer_gradient(l);
        if (l == 0) return;
        for (std::ptrdiff_t i = 0; i < layer.inputs && !stop_->stopped(); ++i)
            for (std::ptrdiff_t b = 0; b < step_->rows; ++b) {
                T sum = 0;
                for (std::ptrdiff_t j = 0; j < layer.outputs; ++j)
                    sum = std::fma(weight(l, i, j), d_[l].row(j)[b], sum);
                d_[l - 1].row(i)[b] = layer.residual ? sum + d_sum_[l].row(i)[b] : sum;
            }
    }

    void layer_gradient(std::size_t l) {
        const Layer& layer = s_.layers[l];
        const bool second_of_tied = s_.tied && l == 1;
        for (std::ptrdiff_t j = 0; j < layer.outputs && !stop_->stopped(); ++j) {
            for (std::ptrdiff_t i = 0; i < layer.inputs; ++i) {
                T sum = 0;
                for (std::ptrdiff_t b = 0; b < step_->rows; ++b) {
                    const T h = input(l).row(i)[b];
                    if (l > 0 || h != 0) sum = std::fma(h, d_[l].row(j)[b], sum);
                }
                if (second_of_tied) gradient.weights[0].row(j)[i] = sum;
                else if (s_.tied) gradient.weights[0].row(i)[j] += sum;
                else gradient.weights[l].row(i)[j] = sum;
            }
            if (!layer.bias) continue;
            T sum = 0;
            for (std::ptrdiff_t b = 0; b < step_->rows; ++b) sum += d_[l].row(j)[b];
            gradient.biases[l].row(0)[j] = sum;
        }
    }

    const Settings& s_;
    LossGradient<T> loss_;
    const Parameters<T>* w_ = nullptr;
    const Step<T>* step_ = nullptr;
    Lines x_, target_;
    std::vector<Lines> slope_, value_, hidden_, d_, d_sum_;  // act'(Z), act(Z), H, dH and dZ, dS
    std::vector<std::int32_t> labels_;
    StopToken* stop_ = nullptr;
};

extern template class GenericPass<float>;
extern template class GenericPass<double>;

}  // namespace fastpolysem::network
