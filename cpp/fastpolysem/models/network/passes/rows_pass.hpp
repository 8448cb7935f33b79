// One seed per thread. As long as weights and gradients fit into the cache, each panel of rows passes through all
// layers, forward and backward; if they are too large, all panels pass through one layer after the other. Weight
// gradients are accumulated panel by panel, so each remains one chain over ascending rows, and the two orders give the
// same bits.
//
// Zeros of a dense table are multiplied like other numbers, since adding 0 w changes at most the sign of a zero in a
// finite chain. They are left out, as defined, if a product of the first layer turns out not to be finite.
#pragma once

#include <cmath>
#include <functional>

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/models/network/passes/drawn_panels.hpp"
#include "fastpolysem/models/network/passes/loss.hpp"
#include "fastpolysem/models/network/passes/products.hpp"
#include "fastpolysem/models/network/passes/sparse_inputs.hpp"

namespace fastpolysem::network {

template <class T>
class RowsPass {
    using P = simd::Pack<T>;

  public:
    enum class Order { automatic, panels, layers };
    // Bytes accessed per panel above which going layer by layer is faster; measured with an L2 cache of 1 MB.
    static constexpr std::ptrdiff_t streamed = 4 << 20;

    explicit RowsPass(const Settings& s, Order order = Order::automatic)
        : gradient(s),
          s_(s),
          loss_(s),
          by_layers_(order == Order::layers || (order == Order::automatic && working_set(s) > streamed)),
          d_rows_(panel_rows, s.widest()),
          loose_(panel_rows, s.widest()),
          target_(std::size_t(Matrix<T>::padded(s.n_outputs()) * panel_rows)),
          extra_(std::size_t(Matrix<T>::padded(s.widest()) * panel_rows)),
          input_row_(std::size_t(s.n_inputs())),
          lowest_(0) {
        for (const Layer& layer : s.layers) layers_.emplace_back(layer);
        if (s.tied) second_gradient_ = Matrix<T>(s.layers[1].inputs, s.layers[1].outputs);
        while (lowest_ + 1 < s.layers.size() && s.layers[lowest_].frozen) ++lowest_;
    }

    // Returns the sum over rows of the loss, without the scale, if requested, otherwise 0. If requested, fills
    // `gradient` with that of everything except l1 on weights.
    double operator()(const Parameters<T>& w, const Step<T>& step, bool want_loss, bool want_gradient,
                      StopToken& stop) {
        w_ = &w;
        step_ = &step;
        panels_ = (step.rows + panel_rows - 1) / panel_rows;
        make_room(by_layers_ ? panels_ : 1);
        pack(want_gradient);
        if (want_gradient) gradient.clear(), second_gradient_.clear();
        const std::size_t depth = layers_.size();
        double loss = 0;
        if (!by_layers_) {
            for (std::ptrdiff_t p = 0; p < panels_ && !stop.stopped(); ++p) {
                for (std::size_t l = 0; l < depth; ++l) forward(l, p);
                output(p, want_loss ? &loss : nullptr, want_gradient);
                for (std::size_t l = depth; want_gradient && l-- > lowest_;) backward(l, p);
            }
        } else {
            for (std::size_t l = 0; l < depth; ++l) each_panel(stop, [&](std::ptrdiff_t p) { forward(l, p); });
            each_panel(stop, [&](std::ptrdiff_t p) { output(p, want_loss ? &loss : nullptr, want_gradient); });
            for (std::size_t l = depth; want_gradient && l-- > lowest_;)
                each_panel(stop, [&](std::ptrdiff_t p) { backward(l, p); });
        }
        if (s_.tied && want_gradient) add_second_gradient();
        return loss;
    }

    // For steps of this many rows.
    static double bytes(const Settings& s, std::int64_t rows, bool dense, Order order = Order::automatic) {
        const bool by_layers = order == Order::layers || (order == Order::automatic && working_set(s) > streamed);
        const double stored = by_layers ? std::ceil(double(rows) / panel_rows) : 1;
        double sum = Parameters<T>::bytes(s) + 2 * Matrix<T>::bytes(panel_rows, s.widest()), widest_matrix = 0;
        for (const Layer& layer : s.layers) {
            const double panel = Matrix<T>::bytes(layer.outputs, panel_rows);
            sum += 2 * (double(layer.inputs * layer.outputs) + 64) * sizeof(T) +
                   stored * panel * (2 + (layer.l1_activations != 0) + layer.residual);
            widest_matrix = std::max(widest_matrix, Matrix<T>::bytes(layer.inputs, layer.outputs));
        }
        if (dense) sum += stored * Matrix<T>::bytes(s.n_inputs(), panel_rows);
        if (s.tied) sum += Matrix<T>::bytes(s.layers[1].inputs, s.layers[1].outputs);
        return sum + widest_matrix + Matrix<T>::bytes(s.n_outputs(), panel_rows) +
               Matrix<T>::bytes(s.widest(), panel_rows) + double(s.n_inputs()) * sizeof(T);
    }

    Parameters<T> gradient;
    // Receives rows first ... of what a pass computes: act(Z_l) of each hidden layer, and finally the outputs.
    std::function<void(std::size_t l, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T>)> watch;

  private:
    // A layer's packed weights, and its panels: one, or all of the batch.
    struct State {
        PackedColumns<T> forward, backward;  // of W_l and of its transpose
        Buffer<T> hidden, slope;             // H, act'(Z), dH and dZ: see LayerPanels
        Buffer<T> value, sum;                // act(Z) and dS where options need them
        std::ptrdiff_t lines, outputs;
        explicit State(const Layer& layer)
            : forward(layer.inputs, layer.outputs),
              backward(layer.outputs, layer.inputs),
              lines(Matrix<T>::padded(layer.outputs)),
              outputs(layer.outputs) {}
    };

    // Bytes accessed per panel: weights (packed twice), their gradients, and the panel's own numbers.
    static std::ptrdiff_t working_set(const Settings& s) {
        std::ptrdiff_t numbers = 0;
        for (const Layer& layer : s.layers)
            numbers += 3 * layer.inputs * layer.outputs + 3 * panel_rows * layer.outputs;
        return numbers * std::ptrdiff_t(sizeof(T));
    }

    void make_room(std::ptrdiff_t stored) {
        if (stored == stored_ && (!step_->dense || x_.size())) return;
        stored_ = stored;
        for (std::size_t l = 0; l < layers_.size(); ++l) {
            State& a = layers_[l];
            const auto size = std::size_t(stored * a.lines * panel_rows);
            a.slope = Buffer<T>(size);
            a.hidden = Buffer<T>(size);
            if (s_.layers[l].l1_activations != 0) a.value = Buffer<T>(size);
            if (s_.layers[l].residual) a.sum = Buffer<T>(size);
        }
        if (step_->dense) x_ = Buffer<T>(std::size_t(stored * Matrix<T>::padded(s_.n_inputs()) * panel_rows));
    }

    template <class Body>
    void each_panel(StopToken& stop, Body body) const {
        for (std::ptrdiff_t p = 0; p < panels_ && !stop.stopped(); ++p) body(p);
    }

    std::ptrdiff_t rows_of(std::ptrdiff_t p) const { return std::min(panel_rows, step_->rows - p * panel_rows); }
    std::ptrdiff_t used(std::ptrdiff_t p) const { return (rows_of(p) + P::width - 1) / P::width * P::width; }
    Panel<T> panel(Buffer<T>& buffer, std::size_t l, std::ptrdiff_t p) {
        const State& a = layers_[l];
        return {buffer.data() + (by_layers_ ? p : 0) * a.lines * panel_rows, a.outputs, panel_rows, used(p)};
    }
    LayerPanels<T> panels_of(std::size_t l, std::ptrdiff_t p) {
        const Layer& layer = s_.layers[l];
        const bool last = l + 1 == layers_.size();
        const bool plain = !last && !layer.residual && !step_->has_noise(l) && !step_->has_dropout(l);
        return {layer.activation, plain, panel(layers_[l].hidden, l, p), panel(layers_[l].slope, l, p)};
    }
    Panel<T> x_panel(std::ptrdiff_t p) {
        const std::ptrdiff_t lines = Matrix<T>::padded(s_.n_inputs());
        return {x_.data() + (by_layers_ ? p : 0) * lines * panel_rows, s_.n_inputs(), panel_rows, used(p)};
    }
    Panel<T> input(std::size_t l, std::ptrdiff_t p) {
        return l == 0 ? x_panel(p) : panel(layers_[l - 1].hidden, l - 1, p);
    }

    void pack(bool want_gradient) {
        for (std::size_t l = 0; l < layers_.size(); ++l) {
            State& a = layers_[l];
            const bool forward = l > 0 || step_->dense, backward = want_gradient && l > lowest_;
            const bool transposed = s_.tied && l == 1;
            const Matrix<T>& w = w_->weights[transposed ? 0 : l];
            if (forward && !transposed) a.forward.pack(w.row(0), w.stride);
            if (backward && transposed) a.backward.pack(w.row(0), w.stride);
            if (!(transposed ? forward : backward)) continue;
            if (transposed_.size() < w.buffer.size()) transposed_ = Buffer<T>(w.buffer.size());
            const std::ptrdiff_t stride = Matrix<T>::padded(w.rows);
            transpose(w, transposed_.data(), stride);
            (transposed ? a.forward : a.backward).pack(transposed_.data(), stride);
        }
    }

    void forward(std::size_t l, std::ptrdiff_t p) {
        const Layer& layer = s_.layers[l];
        const LayerPanels<T> panels = panels_of(l, p);
        const Panel<T> z = panels.z, h = panels.value;
        if (l == 0 && step_->sparse) {
            SparseInputs<T>::forward(*step_, p * panel_rows, rows_of(p), w_->weights[0], loose_);
            rows_to_panel(loose_, z);
        } else {
            if (l == 0) gather(*step_->dense, p, x_panel(p));
            layers_[l].forward.times(input(l, p), z.data);
            if (l == 0 && !is_finite(z)) sparse_product(x_panel(p), z);
        }
        activate(layer.activation, Bias<T>{layer.bias ? w_->biases[l].row(0) : nullptr}, z, h);
        if (watch) watch(l, p * panel_rows, rows_of(p), h);
        if (layer.l1_activations != 0) copy(h, panel(layers_[l].value, l, p));
        if (layer.residual) add_input(l, p, h);
        if (step_->has_noise(l)) add_noise_to(l, p, h);
        if (step_->has_dropout(l)) drop(l, p, h);
    }

    void sparse_product(Panel<T> x, Panel<T> z) {
        for (std::ptrdiff_t j = 0; j < z.features; ++j)
            for (std::ptrdiff_t e = 0; e < z.used; e += P::width) {
                P sum = P::zero();
                for (std::ptrdiff_t i = 0; i < x.features; ++i)
                    sum = fma_unless_zero<T>(P::load(x.line(i) + e), P::all(w_->weights[0].row(i)[j]), sum);
                sum.store(z.line(j) + e);
            }
    }

    void add_noise_to(std::size_t l, std::ptrdiff_t p, Panel<T> h) {
        if (step_->drawn && Disturbances<T>::noise_by_panels(s_, l)) add_noise(*step_->drawn, l, p * panel_rows, h);
        else add(h, rows_as_panel(*step_->noise_of(l), p));
    }
    void drop(std::size_t l, std::ptrdiff_t p, Panel<T> h) {
        if (step_->drawn && Disturbances<T>::dropout_by_panels(s_, l))
            multiply_by_dropout(*step_->drawn, l, p * panel_rows, h);
        else multiply(h, rows_as_panel(*step_->dropout_of(l), p));
    }

    void add_input(std::size_t l, std::ptrdiff_t p, Panel<T> h) {
        if (l > 0 || step_->dense) return add(h, input(l, p));
        each_input_of(p, [&](std::ptrdiff_t b, std::int32_t i, T x) { h.line(i)[b] += x; });
    }

    template <class Use>
    void each_input_of(std::ptrdiff_t p, Use use) const {
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
            step_->each_input(p * panel_rows + b, [&](std::int32_t i, T x) { use(b, i, x); });
    }

    // The panel of table rows shown.
    void gather(const Matrix<T>& table, std::ptrdiff_t p, Panel<T> to) {
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
            std::copy_n(table.row(step_->table_row(p * panel_rows + b)), table.stride, loose_.row(b));
        rows_to_panel(loose_, to);
    }

    // Noise or dropout of a panel: one row per row shown, or one row for all.
    Panel<T> rows_as_panel(const Matrix<T>& from, std::ptrdiff_t p) {
        const Panel<T> to{extra_.data(), from.columns, panel_rows, used(p)};
        if (from.rows == step_->rows) {
            rows_to_panel(from, to, p * panel_rows);  // rows are padded to whole blocks
        } else {
            for (std::ptrdiff_t j = 0; j < to.features; ++j) std::fill_n(to.line(j), to.used, from.row(0)[j]);
        }
        return to;
    }

    // From the outputs to dL/dy, in place; adds the loss first.
    void output(std::ptrdiff_t p, double* loss, bool want_gradient) {
        const Panel<T> y = panel(layers_.back().hidden, layers_.size() - 1, p);
        if (loss) add_loss(p, y, *loss);
        if (!want_gradient) return;
        std::int32_t labels[panel_rows];
        std::fill(labels, labels + panel_rows, -1);
        if (step_->labels)
            for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
                labels[b] = step_->labels[step_->table_row(p * panel_rows + b)];
        const Panel<T> empty{target_.data(), y.features, panel_rows, y.used};
        loss_(y, s_.loss == Loss::cross_entropy ? empty : take_targets(p, y, empty), labels);
    }

    // Power losses: subtracts the targets from y. Binary cross-entropy: returns the targets, in `target` or in place.
    Panel<T> take_targets(std::ptrdiff_t p, Panel<T> y, Panel<T> target) {
        const bool power = s_.loss == Loss::power;
        if (!s_.elementwise() || step_->dense) {
            target = targets_of(p, target);
            if (power) transform(y, [](P a, P t) { return a - t; }, y, target);
            return target;
        }
        if (!power) target_.clear();
        each_input_of(p, [&](std::ptrdiff_t b, std::int32_t i, T x) {  // elsewhere the target is 0
            const T t = target_of(s_.target, x);
            if (power) y.line(i)[b] -= t;
            else target.line(i)[b] = t;
        });
        return target;
    }

    // Given targets, or targets of dense inputs.
    Panel<T> targets_of(std::ptrdiff_t p, Panel<T> to) {
        if (!s_.elementwise()) {
            gather(*step_->targets, p, to);
            return to;
        }
        const P zero = P::zero();
        const Panel<T> x = x_panel(p);
        if (s_.target == Target::identity) return x;
        if (s_.target == Target::absolute) transform(to, [](P a) { return simd::abs(a); }, x);
        else transform(to, [=](P a) { return simd::select<T>(a > zero, a, zero); }, x);
        return to;
    }

    void add_loss(std::ptrdiff_t p, Panel<T> y, double& loss) {
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b) {
            const std::ptrdiff_t shown = p * panel_rows + b, row = step_->table_row(shown);
            const T* target = step_->targets ? step_->targets->row(row) : input_row_.data();
            if (s_.elementwise()) {
                target = input_row_.data();
                input_row_.clear();
                step_->each_input(shown,
                                  [&](std::int32_t i, T x) { input_row_[std::size_t(i)] = target_of(s_.target, x); });
            }
            loss_.add_row(
                loss, [&](std::ptrdiff_t j) { return y.line(j)[b]; }, [&](std::ptrdiff_t j) { return target[j]; },
                step_->labels ? step_->labels[row] : -1);
        }
    }

    // From dH_l (for the last layer, dL/dy) to the layer's gradients and dH_{l-1}.
    void backward(std::size_t l, std::ptrdiff_t p) {
        const Layer& layer = s_.layers[l];
        const LayerPanels<T> panels = panels_of(l, p);
        const Panel<T> d = panels.d;
        if (step_->has_dropout(l)) drop(l, p, d);
        if (layer.residual) copy(d, panel(layers_[l].sum, l, p));
        if (layer.l1_activations != 0)
            add_signs(d, T(layer.l1_activations * step_->l1_factor * s_.scale), panel(layers_[l].value, l, p));
        times_slope(layer.activation, d, panels.slope);
        if (!layer.frozen) add_gradients(l, p, d);
        if (l <= lowest_) return;
        const Panel<T> below = panels_of(l - 1, p).d;
        layers_[l].backward.times(d, below.data);
        if (layer.residual) add(below, panel(layers_[l].sum, l, p));
    }

    void add_gradients(std::size_t l, std::ptrdiff_t p, Panel<T> d) {
        const std::ptrdiff_t rows = rows_of(p);
        Matrix<T>& to = s_.tied && l == 1 ? second_gradient_ : gradient.weights[l];
        panel_to_rows(d, d_rows_);
        if (s_.layers[l].bias) add_rows(d_rows_, rows, gradient.biases[l]);
        if (l == 0 && step_->sparse) SparseInputs<T>::backward(*step_, p * panel_rows, rows, d_rows_, to);
        else if (l == 0 && !is_finite(d)) add_sparse_product(x_panel(p), rows, to);
        else OuterProduct<T>::add(input(l, p).data, d_rows_, rows, to);
    }

    void add_sparse_product(Panel<T> x, std::ptrdiff_t rows, Matrix<T>& to) const {
        for (std::ptrdiff_t i = 0; i < x.features; ++i)
            for (std::ptrdiff_t b = 0; b < rows; ++b)
                for (std::ptrdiff_t j = 0; j < to.columns; j += P::width) {
                    T* sum = to.row(i) + j;
                    fma_unless_zero<T>(P::all(x.line(i)[b]), P::load(d_rows_.row(b) + j), P::load(sum)).store(sum);
                }
    }

    void add_second_gradient() {
        Matrix<T>& to = gradient.weights[0];
        if (transposed_.size() < to.buffer.size()) transposed_ = Buffer<T>(to.buffer.size());
        transpose(second_gradient_, transposed_.data(), to.stride);
        for (std::ptrdiff_t e = 0; e < to.rows * to.stride; e += P::width)
            (P::load(to.row(0) + e) + P::load(transposed_.data() + e)).store(to.row(0) + e);
    }

    const Settings& s_;
    LossGradient<T> loss_;
    bool by_layers_;
    const Parameters<T>* w_ = nullptr;
    const Step<T>* step_ = nullptr;
    std::ptrdiff_t panels_ = 0, stored_ = 0;
    std::vector<State> layers_;
    Buffer<T> x_;               // dense inputs
    Matrix<T> d_rows_, loose_;  // a panel's rows: dZ; scratch space for copying rows to a panel
    Buffer<T> target_, extra_, transposed_, input_row_;
    Matrix<T> second_gradient_;  // tied: of the second layer, before it is added
    std::size_t lowest_;         // lowest trained layer
};

extern template class RowsPass<float>;
extern template class RowsPass<double>;

}  // namespace fastpolysem::network
