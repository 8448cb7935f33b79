// Tiny networks: one seed in each lane of every vector. Each number of the pass is a vector over seeds, and panels hold
// [unit][row][lane]. Thin tiles therefore waste nothing, and each lane computes exactly the chains of its own seed.
#pragma once

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/linalg/lane_tile.hpp"
#include "fastpolysem/models/network/model/lanes_step.hpp"
#include "fastpolysem/models/network/passes/loss.hpp"

namespace fastpolysem::network {

template <class T>
class LanesPass {
    using P = simd::Pack<T>;
    static constexpr std::ptrdiff_t width = P::width, line = lane_rows * width;

  public:
    explicit LanesPass(const Settings& s) : lane_settings(widened(s)), gradient(lane_settings), s_(s), loss_(s) {
        for (const Layer& layer : s.layers) layers_.emplace_back(layer);
        if (s.tied) second_gradient_ = Matrix<T>(s.layers[1].inputs, lane_settings.layers[1].outputs);
        x_ = Buffer<T>(std::size_t(s.n_inputs() * line));
        target_ = Buffer<T>(std::size_t(s.n_outputs() * line));
        labels_.assign(std::size_t(line), -1);
        while (lowest_ + 1 < s.layers.size() && s.layers[lowest_].frozen) ++lowest_;
    }

    // Adds each lane's loss, without the scale, to losses[lane] if not null. If requested, fills `gradient` with that
    // of everything except l1 on weights.
    void operator()(const Parameters<T>& w, LanesStep<T>& step, double* losses, bool want_gradient, StopToken& stop) {
        w_ = &w;
        step_ = &step;
        skips_zeros_ = shared_sparse() || !is_finite(w.weights[0]);
        all_panels(losses, want_gradient, stop);
        if (skips_zeros_ || !want_gradient || is_finite(gradient.weights[0])) return;
        skips_zeros_ = true;
        all_panels(nullptr, true, stop);
    }

    // One seed's parameters to and from a lane.
    static void set(int lane, const Parameters<T>& from, Parameters<T>& to) {
        each_pair(from, to, [&](const T& one, T& lanes) { (&lanes)[lane] = one; });
    }
    static void read(int lane, Parameters<T>& from, Parameters<T>& to) {
        each_pair(to, from, [&](T& one, const T& lanes) { one = (&lanes)[lane]; });
    }

    Settings lane_settings;  // its Parameters hold all lanes: each output has `width` numbers
    Parameters<T> gradient;

    static double bytes(const Settings& s) {
        const Settings wide = widened(s);
        double numbers = double(s.n_inputs() + 2 * s.n_outputs()) * double(line);
        for (const Layer& layer : s.layers) numbers += 4.0 * double(layer.outputs) * double(line);
        return numbers * sizeof(T) + Parameters<T>::bytes(wide) +
               (s.tied ? Matrix<T>::bytes(s.layers[1].inputs, wide.layers[1].outputs) : 0);
    }

  private:
    void all_panels(double* losses, bool want_gradient, StopToken& stop) {
        if (want_gradient) gradient.clear(), second_gradient_.clear();
        for (std::ptrdiff_t p = 0; p * lane_rows < step_->rows && !stop.stopped(); ++p) {
            take_inputs(p);
            for (std::size_t l = 0; l < layers_.size(); ++l) forward(l, p);
            const Panel<T> y = layers_.back().hidden_panel(), targets = targets_of(p);
            if (s_.loss == Loss::cross_entropy) take_labels(p);
            if (losses) add_losses(p, y, targets, losses);
            if (!want_gradient) continue;
            if (s_.loss == Loss::power) transform(y, [](P a, P t) { return a - t; }, y, targets);
            loss_(y, targets, labels_.data());
            for (std::size_t l = layers_.size(); l-- > lowest_;) backward(l, p);
        }
        if (s_.tied && want_gradient) add_second_gradient();
    }

    struct State {
        Buffer<T> slope, hidden, value, sum;  // as in the rows kernel
        std::ptrdiff_t outputs;
        explicit State(const Layer& layer)
            : slope(std::size_t(layer.outputs * line)),
              hidden(slope.size()),
              value(slope.size()),
              sum(slope.size()),
              outputs(layer.outputs) {}
        Panel<T> of(Buffer<T>& b) { return {b.data(), outputs, line, line}; }
        Panel<T> hidden_panel() { return of(hidden); }
    };

    static Settings widened(Settings s) {
        for (Layer& layer : s.layers) layer.outputs *= width;
        return s;
    }
    template <class One, class Lanes, class Use>
    static void each_pair(One& one, Lanes& lanes, Use use) {
        const auto matrix = [&](auto& a, auto& b) {
            for (std::ptrdiff_t i = 0; i < a.rows; ++i)
                for (std::ptrdiff_t j = 0; j < a.columns; ++j) use(a.row(i)[j], b.row(i)[j * width]);
        };
        for (std::size_t l = 0; l < one.weights.size(); ++l) matrix(one.weights[l], lanes.weights[l]);
        for (std::size_t l = 0; l < one.biases.size(); ++l) matrix(one.biases[l], lanes.biases[l]);
    }

    static const P* packs(const T* a) { return reinterpret_cast<const P*>(a); }
    static P* packs(T* a) { return reinterpret_cast<P*>(a); }
    std::ptrdiff_t rows_of(std::ptrdiff_t p) const { return std::min(lane_rows, step_->rows - p * lane_rows); }
    Panel<T> input(std::size_t l) {
        return l == 0 ? Panel<T>{x_now_, s_.n_inputs(), line, line} : layers_[l - 1].hidden_panel();
    }
    LayerPanels<T> panels_of(std::size_t l) {
        State& a = layers_[l];
        const Layer& layer = s_.layers[l];
        const bool plain = l + 1 < layers_.size() && !layer.residual && !in(step_->noise, l) && !in(step_->dropout, l);
        return {layer.activation, plain, a.of(a.hidden), a.of(a.slope)};
    }
    static bool in(const std::vector<typename LanesStep<T>::Table>& tables, std::size_t l) {
        return l < tables.size() && !tables[l].empty();
    }
    bool shared_sparse() const { return step_->shared && step_->shared->sparse; }

    template <class Use>
    void each_shared_input(std::ptrdiff_t p, Use use) const {
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
            step_->shared->each_input(p * lane_rows + b, [&](std::int32_t i, T x) { use(b, i, x); });
    }

    void take_inputs(std::ptrdiff_t p) {
        if (!step_->shared) {
            x_now_ = step_->inputs.panel(p);
            return;
        }
        x_now_ = x_.data();
        x_.clear();
        each_shared_input(
            p, [&](std::ptrdiff_t b, std::int32_t i, T x) { P::all(x).store(x_.data() + i * line + b * width); });
    }

    // The panel's targets, in place if they exist, or assembled here.
    Panel<T> targets_of(std::ptrdiff_t p) {
        const P zero = P::zero();
        const Panel<T> to{target_.data(), s_.n_outputs(), line, line};
        if (s_.loss == Loss::cross_entropy) return to;
        if (s_.target == Target::identity) return input(0);
        if (!s_.elementwise() && !step_->shared) return {step_->targets.panel(p), s_.n_outputs(), line, line};
        if (s_.target == Target::absolute) transform(to, [](P a) { return simd::abs(a); }, input(0));
        else if (s_.target == Target::relu)
            transform(to, [=](P a) { return simd::select<T>(a > zero, a, zero); }, input(0));
        else
            for (std::ptrdiff_t b = 0; b < rows_of(p); ++b) {
                const T* row = step_->shared->targets->row(step_->shared->table_row(p * lane_rows + b));
                for (std::ptrdiff_t j = 0; j < s_.n_outputs(); ++j) P::all(row[j]).store(to.line(j) + b * width);
            }
        return to;
    }

    void take_labels(std::ptrdiff_t p) {
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
            for (std::ptrdiff_t lane = 0; lane < width; ++lane) {
                const std::ptrdiff_t row = p * lane_rows + b;
                labels_[std::size_t(b * width + lane)] = step_->labels.empty()
                                                             ? step_->shared->labels[step_->shared->table_row(row)]
                                                             : step_->labels[std::size_t(row * width + lane)];
            }
        std::fill(labels_.begin() + rows_of(p) * width, labels_.end(), -1);
    }

    // The layout of a layer's weights or their gradients: entry (i, j) is at [i * row + j * column].
    template <class Number>
    struct Place {
        Number* data;
        std::ptrdiff_t row, column;
    };
    Place<const P> weights(std::size_t l) const {
        const bool transposed = s_.tied && l == 1;
        const Matrix<T>& w = w_->weights[transposed ? 0 : l];
        const std::ptrdiff_t stride = w.stride / width;  // whole vectors: rows are padded to 64 bytes at least
        return {packs(w.row(0)), transposed ? 1 : stride, transposed ? stride : 1};
    }

    void forward(std::size_t l, std::ptrdiff_t p) {
        const Layer& layer = s_.layers[l];
        State& a = layers_[l];
        const LayerPanels<T> panels = panels_of(l);
        const Panel<T> z = panels.z, h = panels.value;
        const Place<const P> w = weights(l);
        if (l == 0 && shared_sparse()) {
            std::fill_n(z.data, z.features * line, T(0));
            each_shared_input(p, [&](std::ptrdiff_t b, std::int32_t i, T x) {
                P* to = packs(z.data) + b;
                for (std::ptrdiff_t j = 0; j < layer.outputs; ++j)
                    to[j * lane_rows] = simd::fma(P::all(x), w.data[i * w.row + j], to[j * lane_rows]);
            });
        } else if (l == 0 && skips_zeros_) {
            sparse_product(w, packs(z.data));
        } else {
            product(w.data, w.column, w.row, packs(input(l).data), layer.outputs, layer.inputs, packs(z.data));
        }
        activate(layer.activation, Bias<T>{layer.bias ? w_->biases[l].row(0) : nullptr, true}, z, h);
        if (layer.l1_activations != 0) copy(h, a.of(a.value));
        if (layer.residual) add(h, input(l));
        with_table(step_->noise, l, p, h, [](P x, P y) { return x + y; });
        with_table(step_->dropout, l, p, h, [](P x, P y) { return x * y; });
    }

    // out[c][b] = chain over k of w[c * w_row + k * w_step] y[k][b]
    static void product(const P* w, std::ptrdiff_t w_row, std::ptrdiff_t w_step, const P* y, std::ptrdiff_t outputs,
                        std::ptrdiff_t depth, P* out) {
        LaneTiles<P>::run(outputs, lane_rows,
                          [&](auto r, auto c, std::ptrdiff_t i, std::ptrdiff_t b) __attribute__((always_inline)) {
                              LaneTile<P, r, c> tile;
                              tile.accumulate(w + i * w_row, w_row, w_step, y + b, 1, lane_rows, depth);
                              for (int k = 0; k < r; ++k)
                                  for (int v = 0; v < c; ++v) out[(i + k) * lane_rows + b + v] = tile.sum[k][v];
                          });
    }

    void sparse_product(Place<const P> w, P* z) {
        const Layer& layer = s_.layers[0];
        const P* x = packs(x_now_);
        for (std::ptrdiff_t j = 0; j < layer.outputs; ++j)
            for (std::ptrdiff_t b = 0; b < lane_rows; ++b) {
                P sum = P::zero();
                for (std::ptrdiff_t i = 0; i < layer.inputs; ++i)
                    sum = fma_unless_zero<T>(x[i * lane_rows + b], w.data[i * w.row + j * w.column], sum);
                z[j * lane_rows + b] = sum;
            }
    }

    template <class F>
    void with_table(std::vector<typename LanesStep<T>::Table>& tables, std::size_t l, std::ptrdiff_t p, Panel<T> h,
                    F f) {
        if (!in(tables, l)) return;
        if (!tables[l].one_row) return transform(h, f, h, Panel<T>{tables[l].panel(p), h.features, line, line});
        for (std::ptrdiff_t j = 0; j < h.features; ++j) {
            const P one = P::load(tables[l].at(0, j));
            transform(h.only(j), [&](P x) { return f(x, one); }, h.only(j));
        }
    }

    void backward(std::size_t l, std::ptrdiff_t p) {
        const Layer& layer = s_.layers[l];
        State& a = layers_[l];
        const LayerPanels<T> panels = panels_of(l);
        const Panel<T> d = panels.d;
        with_table(step_->dropout, l, p, d, [](P x, P y) { return x * y; });
        if (layer.residual) copy(d, a.of(a.sum));
        if (layer.l1_activations != 0)
            add_signs(d, T(layer.l1_activations * step_->l1_factor * s_.scale), a.of(a.value));
        times_slope(layer.activation, d, panels.slope);
        if (!layer.frozen) add_gradients(l, p, packs(d.data));
        if (l <= lowest_) return;
        const Place<const P> w = weights(l);
        product(w.data, w.row, w.column, packs(d.data), layer.inputs, layer.outputs, packs(panels_of(l - 1).d.data));
        if (layer.residual) add(panels_of(l - 1).d, a.of(a.sum));
    }

    void add_gradients(std::size_t l, std::ptrdiff_t p, const P* d) {
        const Layer& layer = s_.layers[l];
        const std::ptrdiff_t rows = rows_of(p), outputs = layer.outputs;
        Matrix<T>& matrix = s_.tied && l == 1 ? second_gradient_ : gradient.weights[l];
        const std::ptrdiff_t stride = matrix.stride / width;
        P* to = packs(matrix.row(0));
        if (layer.bias)
            for (std::ptrdiff_t j = 0; j < outputs; ++j) {
                P& sum = packs(gradient.biases[l].row(0))[j];
                for (std::ptrdiff_t b = 0; b < rows; ++b) sum = sum + d[j * lane_rows + b];
            }
        if (l == 0 && shared_sparse()) {
            each_shared_input(p, [&](std::ptrdiff_t b, std::int32_t i, T x) {
                for (std::ptrdiff_t j = 0; j < outputs; ++j)
                    to[i * stride + j] = simd::fma(P::all(x), d[j * lane_rows + b], to[i * stride + j]);
            });
            return;
        }
        const P* h = packs(input(l).data);
        if (l == 0 && skips_zeros_) {
            for (std::ptrdiff_t i = 0; i < layer.inputs; ++i)
                for (std::ptrdiff_t j = 0; j < outputs; ++j)
                    for (std::ptrdiff_t b = 0; b < rows; ++b) {
                        P& sum = to[i * stride + j];
                        sum = fma_unless_zero<T>(h[i * lane_rows + b], d[j * lane_rows + b], sum);
                    }
            return;
        }
        LaneTiles<P>::run(layer.inputs, outputs,
                          [&](auto r, auto c, std::ptrdiff_t i, std::ptrdiff_t j) __attribute__((always_inline)) {
                              LaneTile<P, r, c> tile;
                              P* at = to + i * stride + j;
                              for (int k = 0; k < r; ++k)
                                  for (int v = 0; v < c; ++v) tile.sum[k][v] = at[k * stride + v];
                              tile.accumulate(h + i * lane_rows, lane_rows, 1, d + j * lane_rows, lane_rows, 1, rows);
                              for (int k = 0; k < r; ++k)
                                  for (int v = 0; v < c; ++v) at[k * stride + v] = tile.sum[k][v];
                          });
    }

    void add_second_gradient() {  // the second layer's, transposed
        Matrix<T>& to = gradient.weights[0];
        for (std::ptrdiff_t i = 0; i < to.rows; ++i)
            for (std::ptrdiff_t j = 0; j < second_gradient_.rows; ++j) {
                P& sum = packs(to.row(i))[j];
                sum = sum + packs(second_gradient_.row(j))[i];
            }
    }

    void add_losses(std::ptrdiff_t p, Panel<T> y, Panel<T> targets, double* losses) {
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
            for (std::ptrdiff_t lane = 0; lane < width; ++lane) {
                const std::ptrdiff_t at = b * width + lane;
                loss_.add_row(
                    losses[lane], [&](std::ptrdiff_t j) { return y.line(j)[at]; },
                    [&](std::ptrdiff_t j) { return targets.line(j)[at]; }, labels_[std::size_t(at)]);
            }
    }

    const Settings& s_;
    LossGradient<T> loss_;
    const Parameters<T>* w_ = nullptr;
    LanesStep<T>* step_ = nullptr;
    T* x_now_ = nullptr;
    std::vector<State> layers_;
    Buffer<T> x_, target_;
    Matrix<T> second_gradient_;
    std::vector<std::int32_t> labels_;
    std::size_t lowest_ = 0;
    bool skips_zeros_ = false;  // of the first layer's inputs, as defined; it matters once something is not finite
};

extern template class LanesPass<float>;
extern template class LanesPass<double>;

}  // namespace fastpolysem::network
