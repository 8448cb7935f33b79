// The counter-based generator: four random words per counter and key, in every lane.
#pragma once

#include <array>
#include <cstdint>

#include "fastpolysem/infra/simd.hpp"

namespace fastpolysem::random {

using Word = simd::Pack<std::uint32_t>;

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), one counter and one key per lane.
FASTPOLYSEM_INLINE std::array<Word, 4> philox(std::array<Word, 4> counter, Word key_low, Word key_high) {
    auto [c0, c1, c2, c3] = counter;
    for (int round = 0; round < 10; ++round) {
        Word high0, low0, high1, low1;
        simd::multiply_wide(c0, 0xD2511F53u, high0, low0);
        simd::multiply_wide(c2, 0xCD9E8D57u, high1, low1);
        c0 = high1 ^ c1 ^ key_low;
        c1 = low1;
        c2 = high0 ^ c3 ^ key_high;
        c3 = low0;
        key_low = key_low + Word::all(0x9E3779B9u);
        key_high = key_high + Word::all(0xBB67AE85u);
    }
    return {c0, c1, c2, c3};
}

}  // namespace fastpolysem::random
