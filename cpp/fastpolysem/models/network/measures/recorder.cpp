#include "fastpolysem/models/network/measures/recorder.hpp"

#include <cmath>

#include "fastpolysem/models/network/measures/layer_measures.hpp"

namespace fastpolysem::network {

// Over all matrices, in double, in row-major order.
struct Norms {
    std::int64_t nonzeros = 0;
    double l1 = 0, penalty = 0;  // sum |w|; each layer's times its l1
    bool finite = true;          // biases too
};

namespace {

template <class T>
Norms norms(const Settings& s, const Parameters<T>& w) {
    Norms n;
    for (std::size_t l = 0; l < w.weights.size(); ++l) {
        double sum = 0;
        for (std::ptrdiff_t i = 0; i < w.weights[l].rows; ++i)
            for (std::ptrdiff_t k = 0; k < w.weights[l].columns; ++k) {
                const double x = double(w.weights[l].row(i)[k]);
                n.nonzeros += x != 0;
                sum += std::abs(x);
                n.finite &= std::isfinite(x);
            }
        n.l1 += sum;
        if (s.layers[l].l1 != 0) n.penalty += s.layers[l].l1 * sum;
    }
    for (const Matrix<T>& b : w.biases)
        for (std::ptrdiff_t j = 0; j < b.columns; ++j) n.finite &= std::isfinite(b.row(0)[j]);
    return n;
}

bool is_metric(Metric::Kind kind, std::initializer_list<Metric::Kind> among) {
    for (const Metric::Kind one : among)
        if (kind == one) return true;
    return false;
}

}  // namespace

template <class T>
Recorder<T>::Recorder(const Settings& s, const std::vector<Metric>& metrics, StopToken& stop)
    : s_(s.for_rows(s.shared<T>().evaluation->rows)),
      training_scale_(s.scale),
      metrics_(metrics),
      stop_(stop),
      pass_(s_, RowsPass<T>::Order::panels),
      use_(s_),
      target_(std::size_t(s.n_outputs())) {
    for (std::size_t l = 0; l < s.hidden(); ++l) {
        first_row_.emplace_back(std::size_t(s.layers[l].outputs));
        alive_.emplace_back(std::size_t(s.layers[l].outputs));
    }
}

template <class T>
double Recorder<T>::bytes(const Settings& s) {
    double sum = RowsPass<T>::bytes(s, 1, true, RowsPass<T>::Order::panels);
    if (s.label_noise != 0) sum += double(s.shared<T>().data->rows) * sizeof(std::int32_t);
    for (const Layer& layer : s.layers) sum += double(layer.outputs) * (sizeof(T) + 1);
    const std::ptrdiff_t concepts = own_concept_count(s);
    return sum + Use<T>::bytes(s, concepts) + LayerMeasures::bytes(concepts);
}

template <class T>
void Recorder<T>::look_at(std::uint64_t seed) {
    seed_ = seed;
}

template <class T>
void Recorder<T>::look_at_hidden(std::size_t l, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T> a) {
    const bool relu = s_.layers[l].activation == Activation::relu;
    for (std::ptrdiff_t j = 0; j < a.features; ++j) {
        const T* const line = a.line(j);
        T& silent = first_row_[l][std::size_t(j)];
        char& alive = alive_[l][std::size_t(j)];
        if (first == 0) silent = relu ? T(0) : line[0], alive = 0;
        for (std::ptrdiff_t b = 0; b < rows && !alive; ++b) alive = !(line[b] == silent);
    }
}

template <class T>
void Recorder<T>::count_dead(Outcome& o) const {
    o.layers.resize(s_.hidden());
    for (std::size_t l = 0; l < s_.hidden(); ++l) {
        o.layers[l].dead = std::count(alive_[l].begin(), alive_[l].end(), 0);
        o.all.dead += o.layers[l].dead;
    }
}

// Which concepts use which neurons, on the evaluation rows with their original labels.
template <class T>
void Recorder<T>::measure_use(const Parameters<T>& w, Outcome& o) {
    const Shared<T>& shared = s_.template shared<T>();
    const Concepts& concepts = *shared.concepts;
    const Step<T> step = measured_step(shared);
    std::vector<LayerMeasures> layers(s_.hidden(), LayerMeasures(concepts.count()));
    use_(w, step, concepts, {}, stop_,
         [&](std::size_t l, std::ptrdiff_t, const double* rises) { layers[l].add(rises, concepts, use_.loss); });
    o.layers.resize(s_.hidden());
    for (std::size_t l = 0; l < s_.hidden(); ++l) {
        Neurons& own = o.layers[l];
        own.serving = layers[l].serving;
        own.polysemantic = layers[l].polysemantic;
        own.shared_use = layers[l].shared_use();
        own.effective_concepts = layers[l].effective_concepts();
        own.neurons_per_concept = layers[l].neurons_per_concept();
        o.all.serving += own.serving;
        o.all.polysemantic += own.polysemantic;
        o.all.shared_use += own.shared_use / double(s_.hidden());
        o.all.effective_concepts += own.effective_concepts / double(s_.hidden());
        o.all.neurons_per_concept += own.neurons_per_concept / double(s_.hidden());
    }
    o.not_learned = not_learned(concepts, use_.loss);
}

template <class T>
void Recorder<T>::count_right(const Step<T>& step, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T> y) {
    for (std::ptrdiff_t b = 0; b < rows; ++b) {
        if (s_.loss == Loss::cross_entropy) {
            std::ptrdiff_t best = 0;  // in a tie, the first
            for (std::ptrdiff_t j = 1; j < y.features; ++j)
                if (y.line(j)[b] > y.line(best)[b]) best = j;
            right_ += best == step.labels[step.table_row(first + b)];
            ++decisions_;
            continue;
        }
        targets_of(s_, step, first + b, target_.data());
        for (std::ptrdiff_t j = 0; j < y.features; ++j) right_ += (y.line(j)[b] > 0) == (target_[std::size_t(j)] > 0.5);
        decisions_ += y.features;
    }
}

// Loss (without the scale) and accuracy.
template <class T>
typename Recorder<T>::Measured Recorder<T>::measure(const Parameters<T>& w, const Step<T>& step, bool want_gradient) {
    right_ = decisions_ = 0;
    pass_.watch = [&](std::size_t l, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T> values) {
        if (l < s_.hidden()) look_at_hidden(l, first, rows, values);
        else if (decides(s_)) count_right(step, first, rows, values);
    };
    const double loss = pass_(w, step, true, want_gradient, stop_);
    return {loss, double(right_) / double(decisions_)};
}

template <class T>
typename Recorder<T>::Measured Recorder<T>::evaluate(const Parameters<T>& w, bool want_gradient) {
    Step<T> step;
    step.show(evaluation());
    step.l1_factor = s_.l1_schedule.last();
    if (s_.label_noise != 0) {
        if (labels_.empty() || labels_seed_ != seed_) draw_labels(s_, seed_, evaluation().labels, labels_, &stop_);
        labels_seed_ = seed_;
        step.labels = labels_.data();
    }
    const Measured sum = measure(w, step, want_gradient);
    return {s_.scale * sum.loss, sum.accuracy};
}

template <class T>
typename Recorder<T>::Measured Recorder<T>::evaluate_held_out(const Parameters<T>& w) {
    Step<T> step;
    step.show(*s_.template shared<T>().held_out);
    const Measured sum = measure(w, step, false);
    return {s_.scale_of(step.rows) * sum.loss, sum.accuracy};
}

// The objective of the next step.
template <class T>
double Recorder<T>::objective(const Parameters<T>& w, const Step<T>& step) {
    std::vector<double> sums(s_.hidden());  // of |act(Z)|
    pass_.watch = [&](std::size_t l, std::ptrdiff_t, std::ptrdiff_t rows, Panel<T> a) {
        if (l == s_.hidden() || s_.layers[l].l1_activations == 0) return;
        for (std::ptrdiff_t b = 0; b < rows; ++b)
            for (std::ptrdiff_t j = 0; j < a.features; ++j) sums[l] += std::abs(double(a.line(j)[b]));
    };
    double total = training_scale_ * pass_(w, step, true, false, stop_);
    for (std::size_t l = 0; l < s_.hidden(); ++l)
        if (s_.layers[l].l1_activations != 0)
            total += s_.layers[l].l1_activations * step.l1_factor * training_scale_ * sums[l];
    return total + step.l1_factor * norms(s_, w).penalty;
}

// The largest gradient entry of all trained parameters, after a pass over the evaluation rows; for a weight of 0 under
// l1, its smallest subgradient.
template <class T>
double Recorder<T>::largest_gradient(const Parameters<T>& w) const {
    double largest = 0;
    const double factor = s_.l1_schedule.last();
    for (std::size_t l = 0; l < s_.layers.size(); ++l) {
        if (s_.layers[l].frozen) continue;
        const double l1 = s_.layers[l].l1 * factor;
        for (std::ptrdiff_t i = 0; l < w.weights.size() && i < w.weights[l].rows; ++i)
            for (std::ptrdiff_t k = 0; k < w.weights[l].columns; ++k) {
                const double x = double(w.weights[l].row(i)[k]), g = double(pass_.gradient.weights[l].row(i)[k]);
                if (x == 0 && l + 1 == s_.layers.size() && s_.readout != Readout::dense) continue;  // stays 0
                largest = std::max(largest, x == 0 ? std::abs(g) - l1 : std::abs(g + (x > 0 ? l1 : -l1)));
            }
        for (std::ptrdiff_t j = 0; j < w.biases[l].columns; ++j)
            largest = std::max(largest, std::abs(double(pass_.gradient.biases[l].row(0)[j])));
    }
    return largest;
}

template <class T>
void Recorder<T>::record(const Parameters<T>& w, const StepOf<T>& step, bool last, double* values) {
    const auto wants = [&](std::initializer_list<Metric::Kind> kinds) {
        return std::any_of(metrics_.begin(), metrics_.end(), [&](const Metric& m) { return is_metric(m.kind, kinds); });
    };
    const Norms n = norms(s_, w);
    Outcome o;
    Measured held_out{nan, nan}, evaluated{nan, nan};
    if (wants({Metric::held_out_loss, Metric::held_out_accuracy})) held_out = evaluate_held_out(w);
    const bool gradient = wants({Metric::largest_gradient});
    if (gradient || wants({Metric::loss, Metric::accuracy, Metric::dead})) evaluated = evaluate(w, gradient);
    if (wants({Metric::dead})) count_dead(o);
    if (wants({Metric::not_learned, Metric::serving, Metric::polysemantic, Metric::shared_use,
               Metric::effective_concepts, Metric::neurons_per_concept}))
        measure_use(w, o);
    for (std::size_t i = 0; i < metrics_.size(); ++i) {
        const Metric metric = metrics_[i];
        const auto of_neurons = [&](auto member) {
            if (!n.finite) return nan;
            return double(metric.layer == 0 ? o.all.*member : o.layers[metric.layer - 1].*member);
        };
        switch (metric.kind) {
            case Metric::objective:
                break;  // computed last, since it needs another pass
            case Metric::loss:
                values[i] = evaluated.loss;
                break;
            case Metric::accuracy:
                values[i] = evaluated.accuracy;
                break;
            case Metric::held_out_loss:
                values[i] = held_out.loss;
                break;
            case Metric::held_out_accuracy:
                values[i] = held_out.accuracy;
                break;
            case Metric::not_learned:
                values[i] = n.finite ? double(o.not_learned) : nan;
                break;
            case Metric::dead:
                values[i] = of_neurons(&Neurons::dead);
                break;
            case Metric::serving:
                values[i] = of_neurons(&Neurons::serving);
                break;
            case Metric::polysemantic:
                values[i] = of_neurons(&Neurons::polysemantic);
                break;
            case Metric::shared_use:
                values[i] = of_neurons(&Neurons::shared_use);
                break;
            case Metric::effective_concepts:
                values[i] = of_neurons(&Neurons::effective_concepts);
                break;
            case Metric::neurons_per_concept:
                values[i] = of_neurons(&Neurons::neurons_per_concept);
                break;
            case Metric::largest_gradient:
                values[i] = n.finite ? largest_gradient(w) : nan;
                break;
            case Metric::nonzeros:
                values[i] = double(n.nonzeros);
                break;
            case Metric::l1_norm:
                values[i] = n.l1;
                break;
        }
    }
    for (std::size_t i = 0; i < metrics_.size(); ++i)
        if (metrics_[i].kind == Metric::objective) values[i] = last ? nan : objective(w, step());
}

template <class T>
Outcome Recorder<T>::finish(const Parameters<T>& w) {
    Outcome o;
    const Norms n = norms(s_, w);
    Measured held_out{nan, nan};
    if (has_held_out(s_)) held_out = evaluate_held_out(w);
    const Measured evaluated = evaluate(w, true);
    o.loss = evaluated.loss;
    o.accuracy = evaluated.accuracy;
    o.held_out_loss = held_out.loss;
    o.held_out_accuracy = held_out.accuracy;
    o.largest_gradient = largest_gradient(w);
    o.diverged = !n.finite || !std::isfinite(o.loss);
    count_dead(o);
    if (!o.diverged) measure_use(w, o);
    else training::mark_diverged(columns(s_), o);
    return o;
}

template class Recorder<float>;
template class Recorder<double>;

}  // namespace fastpolysem::network
