// From outputs to the gradient of the loss with respect to them, over whole panels; and the loss itself, in double.
#pragma once

#include <algorithm>
#include <cmath>

#include "fastpolysem/models/network/passes/panel.hpp"

namespace fastpolysem::network {

// a^(halves / 2) for a >= 0: squares and products from the highest bit of the whole power, then one exact square root.
template <class Number, class Root>
FASTPOLYSEM_INLINE Number power_in_halves(Number a, Number one, int halves, Root root) {
    Number r = one;
    for (int bit = 4; bit >= 0; --bit) {
        r = r * r;
        if (halves >> (bit + 1) & 1) r = r * a;
    }
    return halves & 1 ? r * root(a) : r;
}

template <class T>
class LossGradient {
    using P = simd::Pack<T>;

  public:
    explicit LossGradient(const Settings& s) : s_(s), halves_(int(2 * s.power) - 2) {
        const double factor = s.loss == Loss::power ? s.power * s.scale : s.scale;
        for (std::ptrdiff_t j = 0; j < s.n_outputs(); ++j) {
            importance_.push_back(s.importance.empty() ? 1.0 : s.importance[std::size_t(j)]);
            factor_.push_back(T(factor * importance_.back()));
        }
    }

    // Replaces y by dL/dy; for power losses, y already is y - target. Targets: for the binary cross-entropy; a label
    // per row, or -1: for the cross-entropy.
    void operator()(Panel<T> y, Panel<T> targets, const std::int32_t* labels) const {
        switch (s_.loss) {
            case Loss::power:
                return power(y);
            case Loss::cross_entropy:
                return cross_entropy(y, labels);
            case Loss::binary_cross_entropy:
                return binary_cross_entropy(y, targets);
        }
    }

    // Adds the loss of one row, in double and without the scale, to `sum`, term by term; outputs and targets are
    // accessed by index.
    template <class Output, class Aim>
    void add_row(double& sum, Output y, Aim target, std::int32_t label) const {
        const auto outputs = std::ptrdiff_t(factor_.size());
        if (s_.loss == Loss::cross_entropy) {
            double most = double(y(0)), total = 0;
            for (std::ptrdiff_t j = 1; j < outputs; ++j) most = std::max(most, double(y(j)));
            for (std::ptrdiff_t j = 0; j < outputs; ++j) total += math::exp(double(y(j)) - most);
            sum += math::log(total) - (double(y(label)) - most);
            return;
        }
        for (std::ptrdiff_t j = 0; j < outputs; ++j)
            sum += importance_[std::size_t(j)] * term(double(y(j)), double(target(j)));
    }
    // The loss of one output, without its importance; not for the cross-entropy.
    double term(double y, double t) const {
        if (s_.loss == Loss::power) {
            const auto root = [](double a) { return std::sqrt(a); };
            return power_in_halves(std::abs(y - t), 1.0, halves_ + 2, root);
        }
        return std::max(y, 0.0) - y * t + math::log1p(math::exp(-std::abs(y)));
    }
    double importance(std::size_t j) const { return importance_[j]; }

  private:
    // factor |e|^(q-1) sign(e)
    void power(Panel<T> e) const {
        for (std::ptrdiff_t j = 0; j < e.features; ++j) {
            const P factor = P::all(factor_[std::size_t(j)]);
            const Panel<T> line = e.only(j);
            if (halves_ == 2) {
                transform(line, [=](P x) { return factor * x; }, line);
            } else {
                const auto root = [](P a) { return simd::sqrt(a); };
                const auto slope = [&](P x) {
                    const P size = power_in_halves(simd::abs(x), P::all(T(1)), halves_, root);
                    return simd::with_sign_of(factor * size, x);
                };
                transform(line, slope, line);
            }
        }
    }

    // scale (softmax(y) - e_label); the sum of exponentials is one chain over outputs
    void cross_entropy(Panel<T> y, const std::int32_t* labels) const {
        for (std::ptrdiff_t b = 0; b < y.used; b += P::width) {
            P most = P::load(y.data + b), total = P::zero();
            for (std::ptrdiff_t j = 1; j < y.features; ++j) {
                const P z = P::load(y.line(j) + b);
                most = simd::select<T>(z > most, z, most);
            }
            for (std::ptrdiff_t j = 0; j < y.features; ++j) {
                const P e = math::exp(P::load(y.line(j) + b) - most);
                e.store(y.line(j) + b);
                total = total + e;
            }
            for (std::ptrdiff_t j = 0; j < y.features; ++j) (P::load(y.line(j) + b) / total).store(y.line(j) + b);
        }
        for (std::ptrdiff_t b = 0; b < y.used; ++b)
            if (labels[b] >= 0) y.line(labels[b])[b] -= T(1);
        const P scale = P::all(T(s_.scale));
        transform(y, [=](P x) { return scale * x; }, y);
    }

    // factor (1 / (1 + e^-y) - t), without overflow
    void binary_cross_entropy(Panel<T> y, Panel<T> targets) const {
        const P zero = P::zero(), one = P::all(T(1));
        for (std::ptrdiff_t j = 0; j < y.features; ++j) {
            const P factor = P::all(factor_[std::size_t(j)]);
            const auto slope = [=](P z, P t) {
                const P e = math::exp(-simd::abs(z)), r = one / (one + e);
                return factor * (simd::select<T>(z < zero, e * r, r) - t);
            };
            transform(y.only(j), slope, y.only(j), targets.only(j));
        }
    }

    const Settings& s_;
    int halves_;  // 2 (q - 1)
    std::vector<double> importance_;
    std::vector<T> factor_;  // power losses: dL/dy = factor |e|^(q-1) sign(e)
};

}  // namespace fastpolysem::network
