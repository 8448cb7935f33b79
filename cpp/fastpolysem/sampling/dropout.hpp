// Dropout of units: factors of mean 1, from a stream of the seed.
#pragma once

#include "fastpolysem/random/distributions.hpp"
#include "fastpolysem/random/streams.hpp"
#include "fastpolysem/sampling/row_writer.hpp"

namespace fastpolysem {

// Writes the factors of the hidden units, 0 .. rows*columns-1: 0 (dropped) where the element's word < dropout 2^32,
// else 1 / (1 - dropout), so that the mean is 1.
template <class T, class Out>
void draw_dropout(double dropout, const random::StreamPosition& from, std::int64_t rows, std::int64_t columns,
                  Out out) {
    const auto threshold = std::uint64_t(dropout * 0x1p32);
    const T kept = T(1 / (1 - dropout));
    std::int64_t row = 0, column = 0;
    random::for_each_element(
        from, rows * columns, [](const auto& w) { return w; },
        [&](std::int64_t, std::uint32_t word) {
            out(row, column) = word < threshold ? T(0) : kept;
            if (++column == columns) column = 0, ++row;
        });
}

// The same, written to the rows of a matrix.
template <class T>
void draw_dropout(double dropout, const random::StreamPosition& from, Matrix<T>& to) {
    const auto threshold = std::uint64_t(dropout * 0x1p32);
    const T kept = T(1 / (1 - dropout));
    RowWriter<T> writer(to);
    random::for_each_run(
        from, to.rows * to.columns, [](const auto& w) { return w; },
        [&](std::int64_t, const auto& run) {
            writer.put(run, [=](std::uint32_t word) { return word < threshold ? T(0) : kept; });
        });
}

// The same for a vector of seeds, one in each lane: calls put(e, factors) for e = 0 .. count-1.
template <class T, class Put>
FASTPOLYSEM_INLINE void draw_lane_dropout(double dropout, const random::LanesPosition& from, std::int64_t count,
                                          Put put) {
    using random::Word;
    const auto last = random::in_signed_order(Word::all(std::uint32_t(dropout * 0x1p32 - 1)));
    const T kept = T(1 / (1 - dropout));
    for (std::int64_t e = 0; e < count; e += 4) {
        const auto words = from.block(e / 4);
        for (std::int64_t i = 0; i < 4 && e + i < count; ++i) {
            const auto stays = random::in_signed_order(words[std::size_t(i)]) > last;
            simd::Pack<T> factors;
            if constexpr (sizeof(T) == 4) {
                factors = simd::select<T>(stays, simd::Pack<T>::all(kept), simd::Pack<T>::zero());
            } else {
                for (int lane = 0; lane < simd::Pack<T>::width; ++lane) factors.v[lane] = stays[lane] ? kept : T(0);
            }
            put(e + i, factors);
        }
    }
}

}  // namespace fastpolysem
