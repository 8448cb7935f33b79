// Dropout of units: factors of mean 1, from a stream of the seed.
#pragma once

#include "fastpolysem/random/streams.hpp"

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

}  // namespace fastpolysem
