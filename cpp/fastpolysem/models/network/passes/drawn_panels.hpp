// Noise and dropout drawn from a seed's streams directly into a panel. A block gives the numbers of neighbouring units.
// Blocks are computed for one row per lane, so that results have the layout of a panel's lines.
#pragma once

#include "fastpolysem/models/network/model/disturbances.hpp"
#include "fastpolysem/models/network/passes/panel.hpp"

namespace fastpolysem::network {

// Calls use(entries of a line of the panel, drawn values) for the rows from `first` on.
template <class T, class Make, class Use>
FASTPOLYSEM_INLINE void each_drawn(const random::StreamPosition& from, std::ptrdiff_t first, Panel<T> panel, int used,
                                   Make make, Use use) {
    using random::Word;
    const auto blocks = std::uint32_t(panel.features / used);  // of a row
    Word apart;
    for (int lane = 0; lane < Word::width; ++lane) apart.v[lane] = std::uint32_t(lane) * blocks;
    for (std::ptrdiff_t b = 0; b < panel.used; b += Word::width)
        for (std::uint32_t q = 0; q < blocks; ++q) {
            const auto values = make(from.blocks(apart + Word::all(std::uint32_t(first + b) * blocks + q)));
            for (int i = 0; i < used; ++i) use(panel.line(std::ptrdiff_t(q) * used + i) + b, values[std::size_t(i)]);
        }
}

// entries = f(entries, values), with one row per lane.
template <class T, class V, class F>
FASTPOLYSEM_INLINE void change(T* entries, simd::Pack<V> values, F f) {
    if constexpr (simd::Pack<T>::width == simd::Pack<V>::width) {
        f(simd::Pack<T>::load(entries), values).store(entries);
    } else {
        for (int i = 0; i < simd::Pack<V>::width; ++i) entries[i] = f(entries[i], values[i]);
    }
}

template <class T>
void add_noise(const Disturbances<T>& drawn, std::size_t l, std::ptrdiff_t first, Panel<T> h) {
    const NoiseSettings s = drawn.settings().noise_of(l);
    const NoiseShape shape(s);
    const T deviation = T(s.deviation);
    each_drawn(drawn.noise_stream(l), first, h, shape.elements_per_block(), shape, [=](T* entries, random::Real z) {
        if constexpr (sizeof(T) == 4) {
            change(entries, z, [=](auto a, auto x) { return a + x * simd::Pack<T>::all(deviation); });
        } else {
            change(entries, z, [=](T a, float x) { return a + T(x) * deviation; });
        }
    });
}

template <class T>
void multiply_by_dropout(const Disturbances<T>& drawn, std::size_t l, std::ptrdiff_t first, Panel<T> h) {
    using random::Word;
    const double dropout = drawn.settings().layers[l].dropout;
    const auto threshold = std::uint32_t(dropout * 0x1p32);
    const T kept = T(1 / (1 - dropout));
    const auto last = random::in_signed_order(Word::all(threshold - 1));
    each_drawn(
        drawn.dropout_stream(l), first, h, 4, [](const auto& words) { return words; },
        [=](T* entries, Word words) {
            if constexpr (sizeof(T) == 4) {
                const auto stays = random::in_signed_order(words) > last;
                using P = simd::Pack<T>;
                const P factor = simd::select<T>(stays, P::all(kept), P::zero());
                (P::load(entries) * factor).store(entries);
            } else {
                change(entries, words, [=](T a, std::uint32_t word) { return a * (word < threshold ? T(0) : kept); });
            }
        });
}

}  // namespace fastpolysem::network
