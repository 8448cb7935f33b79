// The plain kernel: every option, one product after the other. The other kernels must agree with it bit for bit.
#pragma once

#include <cmath>

#include "fastpolysem/models/autoencoder/kernels/family.hpp"
#include "fastpolysem/optimizers/update.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class GenericKernel {
  public:
    using Model = autoencoder::Model<T>;
    using Entry = T;
    static constexpr const char* name = "generic";
    static constexpr bool looks_ahead = false;
    static constexpr int steps_between_checks = 1;

    static std::string refusal(const Settings&) { return ""; }
    static bool suits(const Settings&, std::int64_t) { return true; }
    static double bytes(const Settings& s) { return (1 + s.has_first() + s.has_second()) * Parameters<T>::bytes(s); }

    GenericKernel(const Settings& s, GradientPass<T>& pass) : s_(s), pass_(pass), counter_(s), weights_(s) {
        if (s.has_first()) first_ = Parameters<T>(s);
        if (s.has_second()) second_ = Parameters<T>(s);
        gradient_list_ = pass.gradient().list(s);
        weights_list_ = weights_.list(s);
        first_list_ = first_.list(s);
        second_list_ = second_.list(s);
    }
    GenericKernel(const GenericKernel&) = delete;  // the lists point into this object
    GenericKernel& operator=(const GenericKernel&) = delete;

    void set(int, const Parameters<T>& weights) { weights_.copy_from(weights); }

    void begin(const StepData<T>&, StopToken&) {
        counter_.restart();
        first_.clear();
        second_.clear();
        scalar_ = 0;
    }

    void step(const StepData<T>& step, StopToken& stop) {
        pass_(weights_, step, stop);
        StepConstants<T> c = counter_.next(s_.weight_l1(step.l1), step.learning_rate);
        if (s_.has_scalar()) return s_.l1_update == L1Update::orthant ? move_alike<true>(c) : move_alike<false>(c);
        with_update(s_, [&](auto update) {
            update_all<decltype(update)>(weights_list_, gradient_list_, first_list_, second_list_, c);
        });
    }

    void read(int, Parameters<T>& weights) const { weights.copy_from(weights_); }

  private:
    // Adam with one second moment for all weights.
    template <bool orthant>
    void move_alike(StepConstants<T>& c) {
        using U = Update<Rule::scalar_adam, orthant>;
        const double square = mean_square<U>(weights_list_, gradient_list_, c);
        scalar_ = s_.beta2 * scalar_ + (1 - s_.beta2) * square;
        c.denominator = T(std::sqrt(scalar_)) * c.inverse_sqrt_correction + c.epsilon;
        update_all<U>(weights_list_, gradient_list_, first_list_, second_list_, c);
    }

    const Settings& s_;
    GradientPass<T>& pass_;
    StepCounter<T> counter_;
    double scalar_ = 0;  // second moment
    Parameters<T> weights_, first_, second_;
    ParameterList<T> weights_list_, gradient_list_, first_list_, second_list_;
};

}  // namespace fastpolysem::autoencoder
