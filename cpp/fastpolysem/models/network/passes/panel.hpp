// A panel holds one number for each feature and input row: one line per feature, with the input rows side by side. All
// computations between two matrix products are defined here and selected once for a whole panel.
#pragma once

#include "fastpolysem/linalg/finite.hpp"
#include "fastpolysem/math/elementary.hpp"
#include "fastpolysem/models/network/model/parameters.hpp"

namespace fastpolysem::network {

template <class T>
struct Panel {
    T* data;
    std::ptrdiff_t features, width;  // width: from line to line
    std::ptrdiff_t used;             // numbers of a line in use, in whole vectors
    T* line(std::ptrdiff_t j) const { return data + j * width; }
    Panel only(std::ptrdiff_t j) const { return {line(j), 1, width, used}; }
};

// to = f(of's vectors ...), vector by vector; the panels `of` are as wide as `to`, which may be one of them.
template <class T, class F, class... Of>
FASTPOLYSEM_INLINE void transform(Panel<T> to, F f, Of... of) {
    using P = simd::Pack<T>;
    for (std::ptrdiff_t begin = 0; begin < to.features * to.width; begin += to.width)
        for (std::ptrdiff_t e = begin; e < begin + to.used; e += P::width)
            f(P::load(of.data + e)...).store(to.data + e);
}

template <class T>
bool is_finite(Panel<T> of) {
    return fastpolysem::is_finite(of.data, of.features, of.width, of.used);
}
using fastpolysem::is_finite;

// fma(x, y, sum), or sum if x is 0: 0 y is NaN if y is not finite.
template <class T>
FASTPOLYSEM_INLINE simd::Pack<T> fma_unless_zero(simd::Pack<T> x, simd::Pack<T> y, simd::Pack<T> sum) {
    return simd::select<T>(x != simd::Pack<T>::zero(), simd::fma(x, y, sum), sum);
}

template <class T>
void copy(Panel<T> from, Panel<T> to) {
    transform(to, [](auto a) { return a; }, from);
}

template <class T>
struct Activated {
    simd::Pack<T> value, slope;
};

template <Activation which, class T>
FASTPOLYSEM_INLINE Activated<T> activated(simd::Pack<T> z) {
    using P = simd::Pack<T>;
    const P zero = P::zero(), one = P::all(T(1));
    if constexpr (which == Activation::relu) {
        return {simd::select<T>(z < zero, zero, z), simd::select<T>(z > zero, one, zero)};  // NaN stays NaN
    } else if constexpr (which == Activation::gelu) {  // z Phi(z); Phi(z) + z phi(z)
        const P half = P::all(T(0.5));
        const P below = half + half * math::erf(z * P::all(T(0.70710678118654752440)));
        const P density = math::exp(-half * (z * z)) * P::all(T(0.39894228040143267794));
        return {z * below, simd::fma(z, density, below)};
    } else if constexpr (which == Activation::tanh) {
        const P a = math::tanh(z);
        return {a, simd::fma(-a, a, one)};
    } else if constexpr (which == Activation::square) {
        return {z * z, z + z};
    } else {
        return {z, one};
    }
}

// The bias added to each line: one number, or one vector (one lane per seed); data may be null.
template <class T>
struct Bias {
    const T* data;
    bool vectors = false;
    FASTPOLYSEM_INLINE simd::Pack<T> at(std::ptrdiff_t j) const {
        using P = simd::Pack<T>;
        return vectors ? P::load(data + j * P::width) : P::all(data[j]);
    }
};

// value = act(z + bias); z is replaced by act'(z + bias) unless value shares its storage.
template <Activation which, class T>
void activate_as(Bias<T> bias, Panel<T> z, Panel<T> value) {
    using P = simd::Pack<T>;
    const bool in_place = z.data == value.data;
    for (std::ptrdiff_t j = 0; j < z.features; ++j) {
        const P b = bias.data ? bias.at(j) : P::zero();
        for (std::ptrdiff_t e = j * z.width; e < j * z.width + z.used; e += P::width) {
            P sum = P::load(z.data + e);
            if (bias.data) sum = sum + b;
            const Activated<T> a = activated<which>(sum);
            a.value.store(value.data + e);
            if (!in_place) a.slope.store(z.data + e);
        }
    }
}

template <class T>
void activate(Activation activation, Bias<T> bias, Panel<T> z, Panel<T> value) {
    switch (activation) {
        case Activation::relu:
            return activate_as<Activation::relu>(bias, z, value);
        case Activation::gelu:
            return activate_as<Activation::gelu>(bias, z, value);
        case Activation::tanh:
            return activate_as<Activation::tanh>(bias, z, value);
        case Activation::square:
            return activate_as<Activation::square>(bias, z, value);
        case Activation::linear:
            if (bias.data || z.data != value.data) activate_as<Activation::linear>(bias, z, value);
    }
}

// d = d act'(z), where `slope` holds act'(z), or act(z) of a ReLU: d where it is positive, otherwise 0.
template <class T>
void times_slope(Activation activation, Panel<T> d, Panel<T> slope) {
    using P = simd::Pack<T>;
    const P zero = P::zero();
    if (activation == Activation::relu)
        transform(d, [=](P a, P s) { return simd::select<T>(s > zero, a, zero); }, d, slope);
    else if (activation != Activation::linear) transform(d, [](P a, P s) { return a * s; }, d, slope);
}

// Storage of a layer's numbers. The slope is stored only for activations where it cannot be inferred from the value.
template <class T>
struct LayerPanels {
    Panel<T> z, value;  // before and after the activation; shared storage if nothing else needs z
    Panel<T> d;         // dH, then dZ
    Panel<T> slope;     // for times_slope
    // `value_is_kept`: the next layer reads act(z), which stays until this layer's slope is taken
    LayerPanels(Activation activation, bool value_is_kept, Panel<T> one, Panel<T> other)
        : z(other), value(one), d(one), slope(other) {
        if (activation == Activation::linear) z = one;
        else if (activation == Activation::relu && value_is_kept) z = one, d = other, slope = one;
    }
};

template <class T>
void add(Panel<T> to, Panel<T> what) {
    transform(to, [](auto a, auto b) { return a + b; }, to, what);
}

template <class T>
void multiply(Panel<T> to, Panel<T> by) {
    transform(to, [](auto a, auto b) { return a * b; }, to, by);
}

// The contribution of l1 on activations to their gradient.
template <class T>
void add_signs(Panel<T> to, T l1, Panel<T> of) {
    const auto size = simd::Pack<T>::all(l1);
    transform(to, [size](auto a, auto b) { return a + simd::with_sign_of(size, b); }, to, of);
}

}  // namespace fastpolysem::network
