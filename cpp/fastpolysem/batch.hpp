// Sampled inputs, fresh at each step from the seed's batch stream.
#pragma once

#include <algorithm>

#include "config.hpp"
#include "random.hpp"

namespace fastpolysem {

// independent: element b n + j decides whether feature j is on in row b (word < p 2^32); its magnitude, if uniform
//     on (0, 1], is the same element of the magnitude stream.
// correlated_blocks: row b takes elements b (active + 1) + t: t = 0 chooses the block, the others draw `active` of its
//     features without repetition (a partial Fisher-Yates shuffle); an index below k is (word k) / 2^32.
inline void draw_batch(const Settings& s, std::uint64_t seed, std::uint32_t step, SparseBatch& batch) {
    const std::int64_t n = s.n_features;
    const std::uint32_t shape = random::shape_word(std::uint32_t(n), std::uint32_t(s.n_hidden));
    const random::Place place{seed, step, random::batch_stream, shape};
    batch.row_start.assign(1, 0);
    batch.feature.clear();
    batch.value.clear();
    const auto words = [](const auto& block) { return block; };
    if (s.inputs == Inputs::independent) {
        const auto threshold = std::uint64_t(s.probability * 0x1p32);
        std::int64_t row_end = n;
        random::for_each_element(place, s.batch_size * n, words, [&](std::int64_t e, std::uint32_t word) {
            if (e == row_end) {
                batch.row_start.push_back(std::int64_t(batch.feature.size()));
                row_end += n;
            }
            if (word < threshold) batch.feature.push_back(std::int32_t(e - (row_end - n)));
        });
        batch.row_start.push_back(std::int64_t(batch.feature.size()));
        batch.value.assign(batch.feature.size(), 1.0);
        if (s.magnitude == Magnitude::uniform) {
            const random::Place magnitudes{seed, step, random::magnitude_stream, shape};
            std::size_t next = 0;
            std::int64_t row = 0;
            const auto units = [](const auto& w) {
                return std::array<random::Real, 4>{random::unit(w[0]), random::unit(w[1]), random::unit(w[2]),
                                                   random::unit(w[3])};
            };
            random::for_each_element(magnitudes, s.batch_size * n, units, [&](std::int64_t e, float u) {
                if (next == batch.feature.size()) return;
                while (batch.row_start[std::size_t(row) + 1] <= std::int64_t(next)) ++row;
                if (e == row * n + batch.feature[next]) batch.value[next++] = u;
            });
        }
        return;
    }
    const std::int64_t size = n / s.blocks;  // features in a block
    std::vector<std::int32_t> order(static_cast<std::size_t>(size));
    std::int64_t t = 0, block = 0;
    random::for_each_element(place, s.batch_size * (s.active + 1), words, [&](std::int64_t, std::uint32_t word) {
        const auto below = [word](std::int64_t k) {
            return std::int64_t((std::uint64_t(word) * std::uint64_t(k)) >> 32);
        };
        if (t == 0) {
            block = below(s.blocks);
            for (std::int64_t i = 0; i < size; ++i) order[std::size_t(i)] = std::int32_t(block * size + i);
        } else {
            std::swap(order[std::size_t(t - 1)], order[std::size_t(t - 1 + below(size - (t - 1)))]);
        }
        if (++t > s.active) {
            std::sort(order.begin(), order.begin() + s.active);
            batch.feature.insert(batch.feature.end(), order.begin(), order.begin() + s.active);
            batch.row_start.push_back(std::int64_t(batch.feature.size()));
            t = 0;
        }
    });
    batch.value.assign(batch.feature.size(), 1.0);
}

}  // namespace fastpolysem
