#include "fastpolysem/encoding/encoding.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "fastpolysem/random/distributions.hpp"
#include "fastpolysem/random/streams.hpp"

namespace fastpolysem {
namespace {

// Radix sort: the bit patterns of non-negative floats have the same order as their values.
void sort_descending(std::vector<float>& values) {
    constexpr int digits = 4, buckets = 256;
    const auto key = [](float x) {
        std::uint32_t bits;
        std::memcpy(&bits, &x, sizeof bits);
        return ~bits;
    };
    std::vector<std::size_t> start(digits * buckets);
    for (const float x : values)
        for (int d = 0; d < digits; ++d) ++start[std::size_t(d * buckets) + ((key(x) >> (8 * d)) & 255)];
    std::vector<float> other(values.size());
    for (int d = 0; d < digits; ++d) {
        std::size_t* at = start.data() + d * buckets;
        std::size_t sum = 0;
        for (int b = 0; b < buckets; ++b) sum += std::exchange(at[b], sum);
        for (const float x : values) other[at[(key(x) >> (8 * d)) & 255]++] = x;
        values.swap(other);
    }
}

class Encoding {
  public:
    // start: non-negative; sorted in place.
    Encoding(std::vector<float> start, double l1) : w_(std::move(start)), l1_(l1), survivors_(w_.size()) {
        sort_descending(w_);
        // Running sums are stored at block ends and recomputed inside a block, starting from the largest weight, so
        // that no rounding errors accumulate through subtraction.
        ends_.reserve(w_.size() / block + 1);
        for (std::size_t i = 0; i < w_.size(); i += block) {
            ends_.push_back(sums_);
            Sums s = sums_;
            for (std::size_t j = i; j < std::min(i + block, w_.size()); ++j) s.add(w_[j]);
            sums_ = s;
        }
        while (survivors_ > 0 && w_[survivors_ - 1] == 0) remove_last();
    }

    std::vector<EncodingRecord> run(double h, double end, const std::vector<double>& times, StopToken& stop) {
        std::vector<EncodingRecord> records;
        std::size_t next = 0;
        int patience = 256;  // steps between queries of `stop`, each of which takes longer than a step
        for (std::int64_t step = 0;;) {
            const double time = double(step) * h;
            for (; next < times.size() && times[next] <= time; ++next) records.push_back(record());
            if (next == times.size() || time >= end) return records;
            if (--patience == 0) {
                if (stop.stopped()) return {};
                patience = 256;
            }
            // Steps until the next record, or at most a fixed number of them, if no weight is removed.
            const double left = std::floor((std::min(times[next], end) - time) / h);
            step += advance(h, std::int64_t(std::min(4096.0, std::max(1.0, left))));
        }
    }

  private:
    static constexpr std::size_t block = 1024;
    struct Sums {
        double first = 0, second = 0;  // of w(0) and w(0)^2
        void add(double w) { first += w, second += w * w; }
    };

    double weight(std::size_t i) const { return alpha_ * w_[i] - shift_; }
    double l1_norm() const { return alpha_ * sums_.first - double(survivors_) * shift_; }
    double squared_norm() const {
        return alpha_ * alpha_ * sums_.second - 2 * alpha_ * shift_ * sums_.first +
               double(survivors_) * shift_ * shift_;
    }

    // Takes at most `most` steps and stops after the first one that removes a weight. Returns their number.
    //
    // With F = c - hq, c = 1 + h, the next squared norm q is a cubic in q, and linear in the l1 norm s:
    //     F^2 q - 2 F h lambda s + f (h lambda)^2 = (h^2 q - 2 c h) q^2 + (c^2 + u) q + (f (h lambda)^2 - c/h u)
    // with u = 2 h^2 lambda s, which reduces the latency of a step from three dependent multiply-adds to two.
    std::int64_t advance(double h, std::int64_t most) {
        const double f = double(survivors_), loss = h * l1_, c = 1 + h, square = c * c, cubic = h * h;
        const double smallest = survivors_ > 0 ? double(w_[survivors_ - 1]) : 1.0;
        double alpha = alpha_, shift = shift_, q = squared_norm(), u = 2 * h * loss * l1_norm();
        double linear = square + u, constant = f * loss * loss - c / h * u;
        const double less = 2 * h * loss * f * loss, ratio = c / h, rest = f * loss * loss + ratio * less;
        std::int64_t taken = 0;
        do {
            const double factor = std::fma(-h, q, c);
            q = std::fma(std::fma(cubic, q, -2 * c * h), q * q, std::fma(linear, q, constant));
            linear = std::fma(factor, u, square - less);
            constant = std::fma(-ratio * factor, u, rest);
            u = std::fma(factor, u, -less);
            alpha *= factor;
            shift = std::fma(shift, factor, loss);
            ++taken;
        } while (taken < most && alpha * smallest > shift);
        alpha_ = alpha;
        shift_ = shift;
        while (survivors_ > 0 && weight(survivors_ - 1) <= 0) remove_last();
        return taken;
    }

    void remove_last() {
        --survivors_;
        const std::size_t b = survivors_ / block;
        sums_ = ends_[b];
        if (survivors_ % block == 0) return;
        if (inside_.empty() || inside_block_ != b) {  // the sums after each element of this block
            inside_.resize(block);
            Sums s = sums_;
            for (std::size_t i = 0; i < survivors_ % block; ++i) {
                s.add(w_[b * block + i]);
                inside_[i] = s;
            }
            inside_block_ = b;
        }
        sums_ = inside_[survivors_ % block - 1];
    }

    EncodingRecord record() const {
        EncodingRecord r{l1_norm(), squared_norm(), 0, 0, std::int64_t(survivors_)};
        if (survivors_ > 0) r.largest = weight(0);
        if (survivors_ > 1) r.second = weight(1);
        return r;
    }

    std::vector<float> w_;               // at the start, descending
    double l1_, alpha_ = 1, shift_ = 0;  // shift: lambda beta
    std::size_t survivors_;
    Sums sums_;                 // over the survivors
    std::vector<Sums> ends_;    // over all weights before each block
    std::vector<Sums> inside_;  // after each weight of the block that contains the last survivor
    std::size_t inside_block_ = 0;
};

}  // namespace

void draw_encoding(std::uint64_t seed, std::int64_t m, float deviation, float* to) {
    const random::StreamPosition from{seed, 0, random::stream_word(random::Family::autoencoder, 0, 0),
                                      random::shape_word(1, std::uint32_t(m))};
    random::for_each_element(from, m, random::normals,
                             [=](std::int64_t i, float z) { to[i] = std::abs(z * deviation); });
}

std::vector<EncodingRecord> run_encoding(std::vector<float> start, double l1, double h, double end,
                                         const std::vector<double>& times, StopToken& stop) {
    return Encoding(std::move(start), l1).run(h, end, times, stop);
}

}  // namespace fastpolysem
