// The settings of an optimiser, and the scalars of one step.
#pragma once

#include <cmath>
#include <cstdint>

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/math/elementary.hpp"
#include "fastpolysem/optimizers/schedule.hpp"

namespace fastpolysem {

enum class Optimizer { sgd, adam, adamw };
// The second moment of Adam: one per weight, or one for all weights of a model, their mean (as AdaGrad-Norm does for
// AdaGrad).
enum class SecondMoment { coordinate, scalar };
enum class L1Update { subgradient, orthant };
enum class L1Target { weights, activations };
template <>
struct Names<Optimizer> {
    static constexpr const char* all[] = {"sgd", "adam", "adamw"};
};
template <>
struct Names<SecondMoment> {
    static constexpr const char* all[] = {"coordinate", "scalar"};
};
template <>
struct Names<L1Update> {
    static constexpr const char* all[] = {"subgradient", "orthant"};
};
template <>
struct Names<L1Target> {
    static constexpr const char* all[] = {"weights", "activations"};
};

struct OptimizerSettings {
    Optimizer optimizer = Optimizer::adamw;
    L1Update l1_update = L1Update::subgradient;
    double learning_rate = 1e-3;
    double weight_decay = 0;  // the effective value
    double momentum = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    std::int64_t steps = 7500;
    Schedule learning_rate_schedule;  // factor
    bool cosine = false;              // instead of the schedule

    double learning_rate_at(std::int64_t step) const {
        if (cosine) return learning_rate * ((1 + math::cos_pi(double(step) / double(steps))) / 2);
        return learning_rate * learning_rate_schedule.at(step);
    }
    bool has_momentum() const { return optimizer == Optimizer::sgd && momentum != 0; }
    bool is_adam() const { return optimizer != Optimizer::sgd; }
    // State matrices per weight matrix: a first moment or momentum buffer, and a second moment.
    bool has_first() const { return is_adam() || has_momentum(); }
    bool has_second() const { return is_adam(); }
};

// The scalars of one step, computed in double, bias corrections by running products.
template <class T>
struct StepConstants {
    T l1 = 0, learning_rate = 0, momentum = 0;
    T decay_factor = 1;  // decoupled: 1 - lr * weight_decay
    T coupled_decay = 0;
    T one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0, epsilon = 0;
    T step_size = 0;                // lr / (1 - beta1^t)
    T inverse_sqrt_correction = 0;  // 1 / sqrt(1 - beta2^t)
    T denominator = 0;              // of all weights, where the second moment is a scalar
};

// Counts the steps of a run.
template <class T>
class StepCounter {
  public:
    explicit StepCounter(const OptimizerSettings& s) : s_(s) {}
    void restart() { power1_ = power2_ = 1; }
    // The constants of the next step, with its l1 on weights.
    StepConstants<T> next(double l1, double learning_rate) {
        StepConstants<T> c;
        c.l1 = T(l1);
        c.learning_rate = T(learning_rate);
        c.momentum = T(s_.momentum);
        if (s_.optimizer == Optimizer::adamw) c.decay_factor = T(1 - learning_rate * s_.weight_decay);
        else c.coupled_decay = T(s_.weight_decay);
        if (!s_.is_adam()) return c;
        power1_ *= s_.beta1;
        power2_ *= s_.beta2;
        c.one_minus_beta1 = T(1 - s_.beta1);
        c.beta2 = T(s_.beta2);
        c.one_minus_beta2 = T(1 - s_.beta2);
        c.epsilon = T(s_.epsilon);
        c.step_size = T(learning_rate / (1 - power1_));
        c.inverse_sqrt_correction = T(1 / std::sqrt(1 - power2_));
        return c;
    }

  private:
    const OptimizerSettings& s_;
    double power1_ = 1, power2_ = 1;
};

}  // namespace fastpolysem
