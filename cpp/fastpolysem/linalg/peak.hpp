// The machine's peak throughput: independent fused multiply-adds in registers only.
#pragma once

#include <algorithm>
#include <chrono>

#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem {

// Floating-point operations per second of one thread, counting two per multiply-add; best of several trials.
template <class T>
double fma_peak() {
    using P = simd::Pack<T>;
    constexpr int chains = 12, steps = 1 << 18;
    P sum[chains];
    for (int i = 0; i < chains; ++i) sum[i] = P::all(T(1 + i));  // distinct, lest the compiler merge them
    const P factor = P::all(T(0.9999)), term = P::all(T(0.0001));
    double best = 0;
    for (int trial = 0; trial < 20; ++trial) {
        const auto begin = std::chrono::steady_clock::now();
        for (int step = 0; step < steps; ++step)
#pragma GCC unroll 12
            for (int i = 0; i < chains; ++i) sum[i] = simd::fma(sum[i], factor, term);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        volatile T sink = 0;
        for (int i = 0; i < chains; ++i) sink = sink + sum[i][0];
        best = std::max(best, 2.0 * chains * steps * P::width / seconds);
    }
    return best;
}

}  // namespace fastpolysem
