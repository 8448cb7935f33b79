// The step of one weight matrix for a vector of models: the product that gives the gradient, fused with the update.
// Compiled separately from the rest of the kernel, because it is instantiated for many tile sizes and all update rules.
#pragma once

#include "fastpolysem/linalg/lane_tile.hpp"
#include "fastpolysem/optimizers/update.hpp"

namespace fastpolysem::autoencoder {

// The step of one weight matrix, from old to fresh. The gradient, which never leaves the registers, is
//     sum_j x[j][i] y[j]   + (D^T 1)_i shared   or   + sum_b D[b][i] own[b]   with noise on this side.
template <class T>
struct Descent {
    using P = simd::Pack<T>;
    std::ptrdiff_t n, m;
    const P *x, *y, *old, *u, *shared, *d, *own;
    P *fresh, *first, *second;
};

template <class U, int R, int C, class T>
void descend_tile(const Descent<T>& d, std::ptrdiff_t i, std::ptrdiff_t k, const StepConstants<T>& c) {
    using P = simd::Pack<T>;
    LaneTile<P, R, C> t;
    t.accumulate(d.x + i, 1, d.n, d.y + k, 1, d.m, d.n);
    if (d.own) t.accumulate(d.d + i, 1, d.n, d.own + k, 1, d.m, d.n);
    if (d.shared)
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < C; ++v) t.sum[r][v] = simd::fma(d.u[i + r], d.shared[k + v], t.sum[r][v]);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) {
            const std::ptrdiff_t e = (i + r) * d.m + k + v;
            P w = d.old[e], none = P::zero();
            U::apply(w, t.sum[r][v], U::has_first ? d.first[e] : none, U::has_second ? d.second[e] : none, c);
            d.fresh[e] = w;
        }
}

template <class U, class T>
void descend(const Descent<T>& d, const StepConstants<T>& c) {
    LaneTiles<simd::Pack<T>>::run(d.n, d.m, [&](auto rows, auto columns, std::ptrdiff_t i, std::ptrdiff_t k) {
        descend_tile<U, decltype(rows)::value, decltype(columns)::value>(d, i, k, c);
    });
}

// Compiled for all rules, with one source file per number type: lanes_descent_float.cpp, lanes_descent_double.cpp.
#define FASTPOLYSEM_DESCEND(prefix, T, ...) \
    prefix template void descend<__VA_ARGS__, T>(const Descent<T>&, const StepConstants<T>&);
#define FASTPOLYSEM_DESCEND_ALL(prefix, T)                               \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::sgd, true>)              \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::sgd, false>)             \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::sgd, false, false>)      \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::momentum, true>)         \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::momentum, false>)        \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::momentum, false, false>) \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::adam, true>)             \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::adam, false>)            \
    FASTPOLYSEM_DESCEND(prefix, T, Update<Rule::adam, false, false>)
FASTPOLYSEM_DESCEND_ALL(extern, float)
FASTPOLYSEM_DESCEND_ALL(extern, double)

}  // namespace fastpolysem::autoencoder
