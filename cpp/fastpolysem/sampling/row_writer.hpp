// Writes runs of draws to the rows of a matrix.
#pragma once

#include <algorithm>

#include "fastpolysem/infra/matrix.hpp"
#include "fastpolysem/random/philox.hpp"

namespace fastpolysem {

// Takes runs of elements in row-major order; elements beyond the last row are ignored.
template <class T>
class RowWriter {
  public:
    explicit RowWriter(Matrix<T>& to) : to_(to) {}

    // Writes make(word or number).
    template <class From, class Make>
    FASTPOLYSEM_INLINE void put(const std::array<simd::Pack<From>, 4>& run, Make make) {
        constexpr int length = 4 * random::Word::width;
        From drawn[length];
        T made[length];
        for (std::size_t i = 0; i < 4; ++i) run[i].store(drawn + i * random::Word::width);
        for (int i = 0; i < length; ++i) made[i] = make(drawn[i]);
        for (std::ptrdiff_t taken = 0; taken < length && row_ < to_.rows;) {
            const std::ptrdiff_t count = std::min<std::ptrdiff_t>(length - taken, to_.columns - column_);
            std::copy_n(made + taken, count, to_.row(row_) + column_);
            taken += count;
            column_ += count;
            if (column_ == to_.columns) column_ = 0, ++row_;
        }
    }

  private:
    Matrix<T>& to_;
    std::ptrdiff_t row_ = 0, column_ = 0;
};

}  // namespace fastpolysem
