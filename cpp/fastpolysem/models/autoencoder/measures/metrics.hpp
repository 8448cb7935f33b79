// Counts in a matrix of weights (n_features x n_hidden, any strides).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace fastpolysem::autoencoder {

struct Counts {
    std::int64_t polysemantic = 0;        // neurons with at least two features in the window low <= |w| <= high
    std::int64_t benign = 0, malign = 0;  // pairs of features that share a neuron in the window, by the sign of w_i w_j
    std::int64_t signed_slots = 0;        // neurons that are the favourite (largest |weight|) of at least two features
    std::int64_t signed_slots_benign = 0;  // ... of features of both signs
    std::int64_t dead = 0;                 // neurons without a feature of |w| >= low
    std::int64_t unrepresented = 0;        // features without a neuron of |w| >= low
};

template <class T>
struct WeightView {
    const T* encoder;
    const T* decoder;  // null: tied
    std::int64_t n, m, stride;

    // Counts of an untied model use the geometric mean of encoder and decoder where their signs agree.
    double operator()(std::int64_t i, std::int64_t k) const {
        const double e = double(encoder[i * stride + k]);
        if (!decoder) return e;
        const double product = e * double(decoder[i * stride + k]);
        return product > 0 ? std::copysign(std::sqrt(product), e) : 0.0;
    }
};

// The window's bounds are rounded to T first, so that a weight exactly equal to low or high is inside.
template <class T>
Counts count(const WeightView<T>& w, double low, double high) {
    low = double(T(low)), high = double(T(high));
    Counts c;
    std::vector<std::int32_t> positive(std::size_t(w.m)), negative(std::size_t(w.m));
    std::vector<std::int32_t> owners_up(std::size_t(w.m)), owners_down(std::size_t(w.m));
    std::vector<char> alive(std::size_t(w.m));
    for (std::int64_t i = 0; i < w.n; ++i) {
        std::int64_t favourite = -1;
        double largest = 0;
        for (std::int64_t k = 0; k < w.m; ++k) {
            const double value = w(i, k), size = std::abs(value);
            if (size > largest) largest = size, favourite = k;
            if (size >= low) {
                alive[std::size_t(k)] = 1;
                if (size <= high) ++(value > 0 ? positive : negative)[std::size_t(k)];
            }
        }
        if (favourite >= 0) ++(w(i, favourite) > 0 ? owners_up : owners_down)[std::size_t(favourite)];
        c.unrepresented += !(largest >= low);
    }
    for (std::size_t k = 0; k < std::size_t(w.m); ++k) {
        const auto pairs = [](std::int64_t x) { return x * (x - 1) / 2; };
        c.polysemantic += positive[k] + negative[k] >= 2;
        c.benign += std::int64_t(positive[k]) * negative[k];
        c.malign += pairs(positive[k]) + pairs(negative[k]);
        c.signed_slots += owners_up[k] + owners_down[k] >= 2;
        c.signed_slots_benign += owners_up[k] > 0 && owners_down[k] > 0;
        c.dead += !alive[k];
    }
    return c;
}

// Sums over all weights, in double, in row-major order.
struct Norms {
    std::int64_t nonzeros = 0;  // both matrices of an untied model
    double l1 = 0;              // sum |w|, both matrices
    double fourth = 0;          // mean over features of sum_k w_ik^4
    bool finite = true;
};

template <class T>
Norms norms(const WeightView<T>& w) {
    Norms r;
    for (const T* matrix : {w.encoder, w.decoder}) {
        if (!matrix) continue;
        for (std::int64_t i = 0; i < w.n; ++i)
            for (std::int64_t k = 0; k < w.m; ++k) {
                const double x = double(matrix[i * w.stride + k]);
                r.nonzeros += x != 0;
                r.l1 += std::abs(x);
                r.finite &= std::isfinite(x);
            }
    }
    for (std::int64_t i = 0; i < w.n; ++i)
        for (std::int64_t k = 0; k < w.m; ++k) {
            const double x = w(i, k);
            r.fourth += x * x * x * x;
        }
    r.fourth /= double(w.n);
    return r;
}

// Whether the outcome of a tied, noise-free, orthant-wise run on the basis batch is decided: every feature has a single
// non-zero weight, of at least `low`, or none, and features on the same neuron have opposite signs. Then every
// off-diagonal G_ij <= 0, the smooth gradient of each zero weight is exactly 0, no weight becomes non-zero again while
// l1 > 0, and each survivor evolves independently.
template <class T>
bool certified(const WeightView<T>& w, double low) {
    low = double(T(low));
    std::vector<char> taken(2 * std::size_t(w.m));
    for (std::int64_t i = 0; i < w.n; ++i) {
        std::int64_t owned = -1;
        for (std::int64_t k = 0; k < w.m; ++k) {
            if (w.encoder[i * w.stride + k] == 0) continue;
            if (owned >= 0) return false;
            owned = k;
        }
        if (owned < 0) continue;
        const double value = w(i, owned);
        if (!(std::abs(value) >= low)) return false;
        char& slot = taken[2 * std::size_t(owned) + (value > 0)];
        if (slot) return false;
        slot = 1;
    }
    return true;
}

}  // namespace fastpolysem::autoencoder
