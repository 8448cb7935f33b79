// Seed streams. Every random number of a run is a function of its position, never of previous draws:
//
//     block   = Philox4x32-10(counter, key)                      four 32-bit words
//     key     = the 64-bit seed                                  (low word, high word)
//     counter = (element / 4, step, stream, shape_word(n, m))
//     stream  = family 2^24 + layer 2^8 + kind                   family of models, layer, kind of draw
//
// An element is a row-major index into the array drawn; its word is word element % 4 of its block. Kinds that use a
// different number of words per element say so where they are defined (sampling/noise.hpp). Draws are made in float32;
// float64 widens them.
#pragma once

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/random/philox.hpp"

namespace fastpolysem::random {

using simd::Pack;

// Each family of models has its own permanent number, so that no two share a stream.
enum class Family : std::uint32_t { autoencoder = 0, network = 1 };

constexpr std::uint32_t stream_word(Family family, std::uint32_t layer, std::uint32_t kind) {
    return (std::uint32_t(family) << 24) + (layer << 8) + kind;
}

// A fixed mix of the model's shape, so that different widths draw independent numbers (the finaliser is MurmurHash3's).
inline std::uint32_t shape_word(std::uint32_t n, std::uint32_t m) {
    std::uint32_t h = n * 0x9E3779B1u;
    h ^= h >> 15;
    h += m * 0x85EBCA77u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return h;
}

// The source of a run's draws of one stream and step: the same seed in every lane, consecutive blocks in consecutive
// lanes.
struct StreamPosition {
    std::uint64_t seed;
    std::uint32_t step, stream, shape;
    StopToken* stop = nullptr;  // checked now and then during long draws

    // Checked at element 0 and every 2^16 elements; true: the draws will not be used.
    bool given_up(std::int64_t element) const { return stop && element % 65536 == 0 && stop->stopped(); }
    FASTPOLYSEM_INLINE std::array<Word, 4> blocks(std::uint32_t first) const {
        return blocks(Word::iota() + Word::all(first));
    }
    FASTPOLYSEM_INLINE std::array<Word, 4> blocks(Word numbers) const {
        return philox({numbers, Word::all(step), Word::all(stream), Word::all(shape)}, Word::all(std::uint32_t(seed)),
                      Word::all(std::uint32_t(seed >> 32)));
    }
};

// The same block of the streams of several seeds, one in each lane.
struct LanesPosition {
    Word key_low, key_high;  // of the seeds
    std::uint32_t step, stream, shape;

    FASTPOLYSEM_INLINE std::array<Word, 4> block(std::int64_t index) const {
        return philox({Word::all(std::uint32_t(index)), Word::all(step), Word::all(stream), Word::all(shape)}, key_low,
                      key_high);
    }
};

// Rearranges words or numbers from blocks, one block per lane, into the order of elements.
template <class T>
FASTPOLYSEM_INLINE std::array<Pack<T>, 4> in_order(const std::array<Pack<T>, 4>& block) {
    std::array<Pack<T>, 4> out;
    Pack<T> even[2], odd[2];
    simd::zip(block[0], block[2], even[0], even[1]);
    simd::zip(block[1], block[3], odd[0], odd[1]);
    for (std::size_t half = 0; half < 2; ++half) simd::zip(even[half], odd[half], out[2 * half], out[2 * half + 1]);
    return out;
}

// Calls use(first, values) for runs of 4 Word::width elements, in order, until `count` are covered; values are packs.
template <class Make, class Use>
FASTPOLYSEM_INLINE void for_each_run(const StreamPosition& from, std::int64_t count, Make make, Use use) {
    for (std::int64_t first = 0; first < count; first += 4 * Word::width) {
        if (from.given_up(first)) return;
        use(first, in_order(make(from.blocks(std::uint32_t(first / 4)))));
    }
}

// Calls use(element, value) for elements 0 .. count-1 in order; make(words) gives each block's four values, packs of
// any type.
template <class Make, class Use>
void for_each_element(const StreamPosition& from, std::int64_t count, Make make, Use use) {
    constexpr int width = Word::width;
    for (std::int64_t first = 0; first < count; first += 4 * width) {
        if (from.given_up(first)) return;
        const auto values = make(from.blocks(std::uint32_t(first / 4)));
        const std::int64_t end = count - first < 4 * width ? count - first : 4 * width;
        for (std::int64_t e = 0; e < end; ++e) use(first + e, values[std::size_t(e % 4)][int(e / 4)]);
    }
}

}  // namespace fastpolysem::random
