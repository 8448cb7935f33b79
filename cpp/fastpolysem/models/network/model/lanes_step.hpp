// The rows and draws that one step presents to each seed of a vector.
#pragma once

#include "fastpolysem/infra/simd.hpp"
#include "fastpolysem/models/network/model/rows.hpp"

namespace fastpolysem::network {

inline constexpr std::ptrdiff_t lane_rows = 8;  // rows that pass through all layers together

// What one step presents to each lane: either a table shared by all lanes, or buffers for each lane's own draws. Noise
// and dropout are always drawn for each lane.
template <class T>
struct LanesStep {
    static constexpr std::ptrdiff_t width = simd::Pack<T>::width;

    // Numbers of all lanes for each row and unit, in the layout of the panels; or one per unit, the same for all rows.
    struct Table {
        std::ptrdiff_t units = 0;
        bool one_row = false;
        Buffer<T> data;
        Table() = default;
        Table(std::ptrdiff_t rows, std::ptrdiff_t u, bool one = false)
            : units(u),
              one_row(one),
              data(std::size_t((one ? 1 : (rows + lane_rows - 1) / lane_rows * lane_rows) * u * width)) {}
        bool empty() const { return data.size() == 0; }
        T* at(std::ptrdiff_t row, std::ptrdiff_t unit) {  // `width` numbers, one per lane
            const std::ptrdiff_t at = one_row ? unit : (row / lane_rows * units + unit) * lane_rows + row % lane_rows;
            return data.data() + at * width;
        }
        T* panel(std::ptrdiff_t p) { return at(p * lane_rows, 0); }  // [unit][row][lane], rows p lane_rows ...
    };

    std::ptrdiff_t rows = 0;
    const Step<T>* shared = nullptr;   // inputs, targets and labels of all lanes; the rest is ignored
    Table inputs, targets;             // each lane's own
    std::vector<std::int32_t> labels;  // each lane's own, [row][lane]; empty: the shared ones
    std::vector<Table> noise, dropout;
    double l1_factor = 1;    // the schedule's
    std::int64_t index = 0;  // of the step
};

}  // namespace fastpolysem::network
