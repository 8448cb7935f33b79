// One update of all parameters from their gradients: PyTorch's formulas, entry by entry.
#pragma once

#include "fastpolysem/math/elementary.hpp"
#include "fastpolysem/models/network/model/parameters.hpp"
#include "fastpolysem/optimizers/update.hpp"

namespace fastpolysem::network {

// The scalars of one step besides those of the rule.
template <class T>
struct StepScalars {
    StepConstants<T> constants;  // l1 is taken from the layers
    double l1_factor = 1;        // the schedule's
    T bias_factor = 1;           // on biases after their update
};

// The scalars of successive steps.
template <class T>
class Schedules {
  public:
    explicit Schedules(const Settings& s) : s_(s), counter_(s) {}
    void restart() { counter_.restart(); }
    StepScalars<T> next(std::int64_t step) {
        const double learning_rate = s_.learning_rate_at(step);
        return {counter_.next(0, learning_rate), s_.l1_schedule.at(step),
                T(1 - learning_rate * s_.bias_decay_at(step))};
    }

  private:
    const Settings& s_;
    StepCounter<T> counter_;
};

// Otherwise the moments of dead units would become subnormal, which makes arithmetic slow.
template <class T>
FASTPOLYSEM_INLINE simd::Pack<T> without_subnormals(simd::Pack<T> moment) {
    using P = simd::Pack<T>;
    return simd::select<T>(simd::abs(moment) < P::all(math::Format<T>::least_normal), P::zero(), moment);
}

template <class U, class T>
FASTPOLYSEM_INLINE void update_vector(T* w, const T* gradient, T* first, T* second, const StepConstants<T>& c) {
    using P = simd::Pack<T>;
    P weight = P::load(w), m = P::zero(), v = P::zero();
    if (U::has_first) m = P::load(first);
    if (U::has_second) v = P::load(second);
    U::apply(weight, P::load(gradient), m, v, c);
    weight.store(w);
    if constexpr (U::rule == Rule::adam) m = without_subnormals(m), v = without_subnormals(v);
    if (U::has_first) m.store(first);
    if (U::has_second) v.store(second);
}

template <class T>
class Optimizer {
  public:
    explicit Optimizer(const Settings& s)
        : s_(s),
          rule_(s.is_adam()        ? Rule::adam
                : s.has_momentum() ? Rule::momentum
                                   : Rule::sgd) {
        if (s.has_first()) first_ = Parameters<T>(s);
        if (s.has_second()) second_ = Parameters<T>(s);
    }
    static double bytes(const Settings& s) { return (s.has_first() + s.has_second()) * Parameters<T>::bytes(s); }

    void restart() {
        first_.clear();
        second_.clear();
    }

    void operator()(Parameters<T>& w, const Parameters<T>& gradient, const StepScalars<T>& scalars) {
        if (rule_ == Rule::adam) return all<Rule::adam>(w, gradient, scalars);
        if (rule_ == Rule::momentum) return all<Rule::momentum>(w, gradient, scalars);
        all<Rule::sgd>(w, gradient, scalars);
    }

    const Parameters<T>& first() const { return first_; }
    const Parameters<T>& second() const { return second_; }

  private:
    template <Rule rule>
    void all(Parameters<T>& w, const Parameters<T>& gradient, const StepScalars<T>& scalars) {
        StepConstants<T> c = scalars.constants;
        for (std::size_t l = 0; l < s_.layers.size(); ++l) {
            const Layer& layer = s_.layers[l];
            if (layer.frozen) continue;
            c.l1 = T(layer.l1 * scalars.l1_factor);
            if (l < w.weights.size()) {
                Matrix<T>&m = state(first_.weights, l), &v = state(second_.weights, l);
                if (layer.l1 == 0) one<Update<rule, false, false>>(w.weights[l], gradient.weights[l], m, v, c);
                else if (s_.l1_update == L1Update::orthant)
                    one<Update<rule, true>>(w.weights[l], gradient.weights[l], m, v, c);
                else one<Update<rule, false>>(w.weights[l], gradient.weights[l], m, v, c);
            }
            if (!layer.bias) continue;
            Matrix<T>& b = w.biases[l];
            one<Update<rule, false, false>>(b, gradient.biases[l], state(first_.biases, l), state(second_.biases, l),
                                            c);
            if (scalars.bias_factor != 1)
                for (std::ptrdiff_t j = 0; j < b.columns; ++j) b.row(0)[j] *= scalars.bias_factor;
        }
    }

    // Empty if the rule does not use it.
    Matrix<T>& state(std::vector<Matrix<T>>& of, std::size_t l) { return of.empty() ? none_ : of[l]; }

    template <class U>
    static void one(Matrix<T>& w, const Matrix<T>& gradient, Matrix<T>& first, Matrix<T>& second,
                    const StepConstants<T>& c) {
        const std::ptrdiff_t count = w.rows * w.stride;  // rows are padded to whole vectors
        for (std::ptrdiff_t e = 0; e < count; e += simd::Pack<T>::width)
            update_vector<U>(w.row(0) + e, gradient.row(0) + e, U::has_first ? first.row(0) + e : nullptr,
                             U::has_second ? second.row(0) + e : nullptr, c);
    }

    const Settings& s_;
    Rule rule_;
    Parameters<T> first_, second_;
    Matrix<T> none_;
};

extern template class Optimizer<float>;
extern template class Optimizer<double>;

}  // namespace fastpolysem::network
