// One update of a vector of weights by PyTorch's formulas, with l1 by subgradient or orthant-wise.
#pragma once

#include "fastpolysem/infra/matrix.hpp"
#include "fastpolysem/optimizers/parameter_list.hpp"
#include "fastpolysem/optimizers/step_constants.hpp"

namespace fastpolysem {

// The update rule: the optimiser and its l1 update, fixed at compile time.
enum class Rule { sgd, momentum, adam, scalar_adam };

template <Rule which, bool orthant, bool with_l1 = true>
struct Update {
    using WithoutL1 = Update<which, false, false>;  // for biases, and weights without l1
    static constexpr Rule rule = which;
    static constexpr bool is_orthant = orthant;
    static constexpr bool has_first = rule != Rule::sgd;    // keeps a first moment (or momentum buffer)
    static constexpr bool has_second = rule == Rule::adam;  // keeps a second moment of each weight
    static constexpr bool is_adam = rule == Rule::adam || rule == Rule::scalar_adam;

    // g: the gradient of the smooth part. The l1 term and decay are added here.
    template <class T>
    FASTPOLYSEM_INLINE static void apply(simd::Pack<T>& w, simd::Pack<T> g, simd::Pack<T>& first, simd::Pack<T>& second,
                                         const StepConstants<T>& c) {
        using P = simd::Pack<T>;
        g = with_decay(w, g, c);
        const P p = with_penalty(w, g, c);
        if constexpr (!orthant) {
            move(w, p, first, second, c);
        } else {
            // After Andrew & Gao 2007: a weight moves within its orthant and stops at zero; a zero weight moves only if
            // |g| > l1.
            const P zero = P::zero();
            const auto non_zero = w != zero;
            const auto free = non_zero | (simd::abs(g) > P::all(c.l1));
            P moved = w, moved_first = first, moved_second = second;
            move(moved, p, moved_first, moved_second, c);
            // NaN does not count as a crossing: a run that overflows must end as diverged, not as a model of zeros.
            const auto clamp =
                non_zero & ((moved == zero) | ((moved > zero) & (w < zero)) | ((moved < zero) & (w > zero)));
            const auto keep = free & ~clamp;
            w = simd::select<T>(keep, moved, zero);  // a weight that is not free is already zero
            first = simd::select<T>(clamp, zero, simd::select<T>(free, moved_first, first));
            second = simd::select<T>(free, moved_second, second);
        }
    }

    // The pseudo-gradient: gradient, coupled decay and l1; 0 for a zero weight that l1 holds.
    template <class T>
    FASTPOLYSEM_INLINE static simd::Pack<T> slope(simd::Pack<T> w, simd::Pack<T> g, const StepConstants<T>& c) {
        using P = simd::Pack<T>;
        g = with_decay(w, g, c);
        const P p = with_penalty(w, g, c);
        if constexpr (!orthant) return p;
        else return simd::select<T>((w != P::zero()) | (simd::abs(g) > P::all(c.l1)), p, P::zero());
    }

  private:
    template <class T>
    FASTPOLYSEM_INLINE static simd::Pack<T> with_decay(simd::Pack<T> w, simd::Pack<T> g, const StepConstants<T>& c) {
        return is_adam && c.coupled_decay != 0 ? simd::fma(simd::Pack<T>::all(c.coupled_decay), w, g) : g;
    }

    // The gradient with l1. Orthant-wise, that of a zero weight is of use only if |g| > l1.
    template <class T>
    FASTPOLYSEM_INLINE static simd::Pack<T> with_penalty(simd::Pack<T> w, simd::Pack<T> g, const StepConstants<T>& c) {
        using P = simd::Pack<T>;
        const P l1 = P::all(c.l1);
        if constexpr (!with_l1) return g;
        else if constexpr (!orthant) return g + simd::with_sign_of(l1, w);
        else
            return simd::select<T>(w != P::zero(), g + simd::with_sign_of(l1, w),
                                   simd::with_sign_of(simd::abs(g) - l1, g));
    }

    template <class T>
    FASTPOLYSEM_INLINE static void move(simd::Pack<T>& w, simd::Pack<T> g, simd::Pack<T>& first, simd::Pack<T>& second,
                                        const StepConstants<T>& c) {
        using P = simd::Pack<T>;
        if constexpr (rule == Rule::sgd) {
            w = simd::fma(P::all(-c.learning_rate), g, w);
        } else if constexpr (rule == Rule::momentum) {
            first = simd::fma(P::all(c.momentum), first, g);
            w = simd::fma(P::all(-c.learning_rate), first, w);
        } else if constexpr (rule == Rule::scalar_adam) {
            first = simd::fma(P::all(c.one_minus_beta1), g - first, first);
            w = simd::fma(P::all(-c.step_size), first / P::all(c.denominator), w * P::all(c.decay_factor));
        } else {
            first = simd::fma(P::all(c.one_minus_beta1), g - first, first);
            second = simd::fma(P::all(c.one_minus_beta2) * g, g, P::all(c.beta2) * second);
            const P denominator = simd::fma(simd::sqrt(second), P::all(c.inverse_sqrt_correction), P::all(c.epsilon));
            w = simd::fma(P::all(-c.step_size), first / denominator, w * P::all(c.decay_factor));
        }
    }
};

// One step for a matrix, given its gradient.
template <class U, class T>
void update_matrix(Matrix<T>& w, const Matrix<T>& gradient, Matrix<T>& first, Matrix<T>& second,
                   const StepConstants<T>& c) {
    using P = simd::Pack<T>;
    for (std::ptrdiff_t i = 0; i < w.rows; ++i)
        for (std::ptrdiff_t k = 0; k < w.stride; k += P::width) {
            P weight = P::load(w.row(i) + k), m = P::zero(), v = P::zero();
            if (U::has_first) m = P::load(first.row(i) + k);
            if (U::has_second) v = P::load(second.row(i) + k);
            U::apply(weight, P::load(gradient.row(i) + k), m, v, c);
            weight.store(w.row(i) + k);
            if (U::has_first) m.store(first.row(i) + k);
            if (U::has_second) v.store(second.row(i) + k);
        }
}

// ... and for all of a model's parameters. first, second: lists of the same shapes; those that the rule does not use
// may be empty.
template <class U, class T>
void update_all(const ParameterList<T>& weights, const ParameterList<T>& gradient, const ParameterList<T>& first,
                const ParameterList<T>& second, const StepConstants<T>& c) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
        Matrix<T>&w = *weights[i].matrix, &m = *first[i].matrix, &v = *second[i].matrix;
        if (weights[i].penalised) update_matrix<U>(w, *gradient[i].matrix, m, v, c);
        else update_matrix<typename U::WithoutL1>(w, *gradient[i].matrix, m, v, c);
    }
}

// The sum of squares of a matrix's pseudo-gradient, in double and row-major order.
template <class U, class T>
double sum_of_squares(const Matrix<T>& w, const Matrix<T>& gradient, const StepConstants<T>& c) {
    using P = simd::Pack<T>;
    double sum = 0;
    for (std::ptrdiff_t i = 0; i < w.rows; ++i)
        for (std::ptrdiff_t k = 0; k < w.stride; k += P::width) {  // the padding adds zeros
            const P slope = U::slope(P::load(w.row(i) + k), P::load(gradient.row(i) + k), c);
            for (int lane = 0; lane < P::width; ++lane) sum += double(slope[lane]) * double(slope[lane]);
        }
    return sum;
}

// ... and its mean over all of a model's parameters, including the bias and those at zero.
template <class U, class T>
double mean_square(const ParameterList<T>& weights, const ParameterList<T>& gradient, const StepConstants<T>& c) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const Matrix<T>&w = *weights[i].matrix, &g = *gradient[i].matrix;
        sum += weights[i].penalised ? sum_of_squares<U>(w, g, c) : sum_of_squares<typename U::WithoutL1>(w, g, c);
        count += double(weights[i].size());
    }
    return sum / count;
}

// Calls body(Update<...>{}) for the settings' optimiser and l1 update.
template <class Body>
void with_update(const OptimizerSettings& s, Body body) {
    const bool orthant = s.l1_update == L1Update::orthant;
    if (s.is_adam()) return orthant ? body(Update<Rule::adam, true>{}) : body(Update<Rule::adam, false>{});
    if (s.has_momentum()) return orthant ? body(Update<Rule::momentum, true>{}) : body(Update<Rule::momentum, false>{});
    return orthant ? body(Update<Rule::sgd, true>{}) : body(Update<Rule::sgd, false>{});
}

}  // namespace fastpolysem
