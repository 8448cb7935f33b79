#include "fastpolysem/models/network/measures/use.hpp"

namespace fastpolysem::network {
namespace {

template <class T>
std::size_t panel_size(std::ptrdiff_t features) {
    return std::size_t(Matrix<T>::padded(features) * panel_rows);
}

}  // namespace

template <class T>
Use<T>::State::State(const Layer& layer)
    : weights(layer.inputs, layer.outputs),
      z(panel_size<T>(layer.outputs)),
      value(z.size()),
      read(z.size()),
      z_off(z.size()),
      read_off(z.size()) {}

template <class T>
Use<T>::Use(const Settings& s)
    : s_(s),
      loss_of_(s),
      rows_(panel_rows, s.widest()),
      inputs_(panel_size<T>(s.n_inputs())),
      delta_(panel_rows),
      targets_(std::size_t(panel_rows * s.n_outputs())),
      row_losses_(panel_rows),
      labels_(panel_rows) {
    for (const Layer& layer : s.layers) layers_.emplace_back(layer);
    means.resize(s.hidden());
}

template <class T>
double Use<T>::bytes(const Settings& s, std::ptrdiff_t concepts) {
    double sum = Matrix<T>::bytes(panel_rows, s.widest()) + Matrix<T>::bytes(s.n_inputs(), panel_rows);
    for (const Layer& layer : s.layers)
        sum += (double(layer.inputs * layer.outputs) + 64) * sizeof(T) +
               5 * Matrix<T>::bytes(layer.outputs, panel_rows) + double(layer.outputs) * sizeof(double);
    if (s.tied) sum += Matrix<T>::bytes(s.layers[1].inputs, s.layers[1].outputs);
    // Entries of a panel (at most all concepts in every row), and rises.
    sum += double(panel_rows) * double(concepts) * sizeof(Entry) + double(panel_rows * s.n_outputs()) * sizeof(double);
    return sum + double(std::max(numbers_at_once, concepts)) * sizeof(double);
}

template <class T>
void Use<T>::pack() {
    for (std::size_t l = 0; l < layers_.size(); ++l) {
        const bool transposed = s_.tied && l == 1;
        const Matrix<T>& w = w_->weights[transposed ? 0 : l];
        if (!transposed) {
            layers_[l].weights.pack(w.row(0), w.stride);
            continue;
        }
        const std::ptrdiff_t stride = Matrix<T>::padded(w.rows);
        if (transposed_.size() == 0) transposed_ = Buffer<T>(std::size_t(stride * Matrix<T>::padded(w.columns)));
        transpose(w, transposed_.data(), stride);
        layers_[l].weights.pack(transposed_.data(), stride);
    }
}

// The weights with which the next layer reads neuron k of layer l.
template <class T>
const T* Use<T>::weights_above(std::size_t l, std::ptrdiff_t k) const {
    return s_.tied ? transposed_.data() + k * Matrix<T>::padded(s_.n_inputs()) : w_->weights[l + 1].row(k);
}

template <class T>
void Use<T>::add_bias(std::size_t l, Panel<T> z) const {
    if (s_.layers[l].bias) activate(Activation::linear, Bias<T>{w_->biases[l].row(0)}, z, z);
}

// act(z), or the mean if a neuron is held.
template <class T>
void Use<T>::respond(std::size_t l, Panel<T> z, Panel<T> value) const {
    copy(z, value);
    activate(s_.layers[l].activation, Bias<T>{nullptr}, value, value);
    if (!held_ || l >= held_->size() || (*held_)[l].empty()) return;
    for (std::ptrdiff_t k = 0; k < value.features; ++k)
        if ((*held_)[l][std::size_t(k)]) std::fill_n(value.line(k), value.used, T(means[l][std::size_t(k)]));
}

template <class T>
void Use<T>::forward(std::ptrdiff_t p) {
    const Panel<T> inputs = panel(inputs_, s_.n_inputs(), p);
    if (step_->dense || s_.layers[0].residual) {
        rows_.clear();
        for (std::ptrdiff_t b = 0; b < rows_of(p); ++b)
            step_->each_input(p * panel_rows + b, [&](std::int32_t i, T x) { rows_.row(b)[i] = x; });
        rows_to_panel(rows_, inputs);
    }
    for (std::size_t l = 0; l < layers_.size(); ++l) {
        const Panel<T> z = of_layer(&State::z, l, p), value = of_layer(&State::value, l, p);
        const Panel<T> input = l == 0 ? inputs : of_layer(&State::read, l - 1, p);
        if (l == 0 && step_->sparse) {
            SparseInputs<T>::forward(*step_, p * panel_rows, rows_of(p), w_->weights[0], rows_);
            rows_to_panel(rows_, z);
        } else {
            layers_[l].weights.times(input, z.data);
        }
        add_bias(l, z);
        respond(l, z, value);
        const Panel<T> read = of_layer(&State::read, l, p);
        copy(value, read);
        if (s_.layers[l].residual) add(read, input);
    }
}

// The outputs with neuron k of layer l at its mean.
template <class T>
Panel<T> Use<T>::switch_off(std::size_t l, std::ptrdiff_t k, std::ptrdiff_t p) {
    const P mean = P::all(T(means[l][std::size_t(k)]));
    const Panel<T> delta = panel(delta_, 1, p);
    transform(delta, [=](P a) { return mean - a; }, of_layer(&State::value, l, p).only(k));
    const T* const weights = weights_above(l, k);
    for (std::size_t m = l + 1; m < layers_.size(); ++m) {
        const Panel<T> z = of_layer(&State::z_off, m, p), read = of_layer(&State::read_off, m, p);
        if (m == l + 1) {
            const Panel<T> before = of_layer(&State::z, m, p);
            for (std::ptrdiff_t j = 0; j < z.features; ++j) {
                const P w = P::all(weights[j]);
                transform(z.only(j), [=](P d, P sum) { return simd::fma(d, w, sum); }, delta, before.only(j));
            }
        } else {
            layers_[m].weights.times(of_layer(&State::read_off, m - 1, p), z.data);
            add_bias(m, z);
        }
        respond(m, z, read);
        if (!s_.layers[m].residual) continue;
        if (m > l + 1) {
            add(read, of_layer(&State::read_off, m - 1, p));
        } else {
            add(read, of_layer(&State::read, l, p));
            add(read.only(k), delta);
        }
    }
    return of_layer(&State::read_off, layers_.size() - 1, p);
}

template <class T>
void Use<T>::take_means(StopToken& stop) {
    for (std::size_t l = 0; l < s_.hidden(); ++l) means[l].assign(std::size_t(s_.layers[l].outputs), 0);
    held_ = nullptr;
    for (std::ptrdiff_t p = 0; p < panels() && !stop.stopped(); ++p) {
        forward(p);
        for (std::size_t l = 0; l < s_.hidden(); ++l) {
            const Panel<T> value = of_layer(&State::value, l, p);
            for (std::ptrdiff_t k = 0; k < value.features; ++k)
                for (std::ptrdiff_t b = 0; b < rows_of(p); ++b) means[l][std::size_t(k)] += double(value.line(k)[b]);
        }
    }
    for (auto& layer : means)
        for (double& mean : layer) mean /= double(step_->rows);
}

template <class T>
void Use<T>::take_entries(std::ptrdiff_t p, const Concepts& concepts) {
    entries_.clear();
    for (std::ptrdiff_t b = 0; b < rows_of(p); ++b) {
        const std::ptrdiff_t shown = p * panel_rows + b;
        targets_of(s_, *step_, shown, targets_.data() + b * s_.n_outputs());
        if (step_->labels) labels_[std::size_t(b)] = step_->labels[step_->table_row(shown)];
        for (auto e = concepts.row_start[std::size_t(shown)]; e < concepts.row_start[std::size_t(shown) + 1]; ++e) {
            const std::int32_t i = concepts.index[std::size_t(e)];
            entries_.push_back({b, i, concepts.output[std::size_t(i)], 0.0});
        }
    }
    each_loss(of_layer(&State::read, layers_.size() - 1, p), [&](Entry& entry, double value) {
        entry.loss = value;
        loss[std::size_t(entry.concept_number)] += value;
    });
}

// Calls take(entry, its loss) for each entry of the panel.
template <class T>
template <class Take>
void Use<T>::each_loss(Panel<T> outputs, Take take) {
    if (whole_rows_) take_row_losses(outputs);
    for (Entry& entry : entries_) {
        const std::ptrdiff_t b = entry.row, j = entry.output;
        if (j == Concepts::whole_loss) take(entry, row_losses_[std::size_t(b)]);
        else take(entry, loss_of_.term(double(outputs.line(j)[b]), targets_[std::size_t(b * outputs.features + j)]));
    }
}

template <class T>
void Use<T>::take_row_losses(Panel<T> y) {
    using D = simd::Pack<double>;
    if (s_.loss != Loss::cross_entropy) {
        for (std::ptrdiff_t b = 0; b < y.used; ++b) {
            const double* target = targets_.data() + b * y.features;
            double& sum = row_losses_[std::size_t(b)] = 0;
            loss_of_.add_row(
                sum, [&](std::ptrdiff_t j) { return y.line(j)[b]; }, [&](std::ptrdiff_t j) { return target[j]; }, -1);
        }
        return;
    }
    for (std::ptrdiff_t first = 0; first < y.used; first += D::width) {
        const auto logits = [&](std::ptrdiff_t j) {
            alignas(64) double z[D::width];
            for (int i = 0; i < D::width; ++i) z[i] = double(y.line(j)[first + i]);
            return D::load(z);
        };
        D most = logits(0), total = D::zero();
        for (std::ptrdiff_t j = 1; j < y.features; ++j) {
            const D z = logits(j);
            most = simd::select<double>(z > most, z, most);
        }
        for (std::ptrdiff_t j = 0; j < y.features; ++j) total = total + math::exp(logits(j) - most);
        alignas(64) double sums[D::width], highest[D::width];
        math::log(total).store(sums);
        most.store(highest);
        for (int i = 0; i < D::width; ++i) {
            const auto b = std::size_t(first + i);
            row_losses_[b] = sums[i] - (double(y.line(labels_[b])[first + i]) - highest[i]);
        }
    }
}

template <class T>
void Use<T>::operator()(const Parameters<T>& w, const Step<T>& step, const Concepts& concepts, const Held& held,
                        StopToken& stop, const Sink& sink) {
    w_ = &w;
    step_ = &step;
    const auto& outputs = concepts.output;
    whole_rows_ = std::find(outputs.begin(), outputs.end(), Concepts::whole_loss) != outputs.end();
    std::fill(labels_.begin(), labels_.end(), 0);
    pack();
    take_means(stop);
    held_ = &held;
    const std::ptrdiff_t count = concepts.count();
    const std::ptrdiff_t at_once = std::max<std::ptrdiff_t>(1, numbers_at_once / std::max<std::ptrdiff_t>(1, count));
    for (std::size_t l = 0; l < s_.hidden(); ++l) {
        const std::ptrdiff_t neurons = s_.layers[l].outputs;
        for (std::ptrdiff_t k0 = 0; k0 < neurons && !stop.stopped(); k0 += at_once) {
            const std::ptrdiff_t k1 = std::min(neurons, k0 + at_once);
            rises_.assign(std::size_t((k1 - k0) * count), 0);
            loss.assign(std::size_t(count), 0);
            for (std::ptrdiff_t p = 0; p < panels() && !stop.stopped(); ++p) {
                forward(p);
                take_entries(p, concepts);
                for (std::ptrdiff_t k = k0; k < k1 && !stop.stopped(); ++k) {
                    double* const rises = rises_.data() + (k - k0) * count;
                    each_loss(switch_off(l, k, p), [&](const Entry& entry, double value) {
                        rises[entry.concept_number] += value - entry.loss;
                    });
                }
            }
            for (std::ptrdiff_t i = 0; i < count; ++i) loss[std::size_t(i)] /= concepts.rows[std::size_t(i)];
            for (std::ptrdiff_t k = k0; k < k1; ++k) {
                double* const rises = rises_.data() + (k - k0) * count;
                for (std::ptrdiff_t i = 0; i < count; ++i) rises[i] /= concepts.rows[std::size_t(i)];
                sink(l, k, rises);
            }
        }
    }
}

template class Use<float>;
template class Use<double>;

}  // namespace fastpolysem::network
