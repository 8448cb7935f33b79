// The draws of the steps of one seed, or of a vector of seeds.
#pragma once

#include <functional>

#include "fastpolysem/models/network/model/disturbances.hpp"
#include "fastpolysem/models/network/model/lanes_step.hpp"
#include "fastpolysem/models/network/model/tables.hpp"

namespace fastpolysem::network {

// The order in which a seed sees the rows of a data set.
class RowOrder {
  public:
    // The rows shown in a step: positions step B ... step B + B - 1 of the concatenated epochs.
    const std::int32_t* take(const Settings& s, std::uint64_t seed, std::int64_t step, std::int64_t count,
                             StopToken* stop) {
        shown_.resize(std::size_t(s.batch_size));
        std::int64_t place = step * s.batch_size;
        for (std::int64_t b = 0; b < s.batch_size; ++b, ++place) {
            if (place / count != epoch_ || seed != seed_) shuffle(s, seed, place / count, count, stop);
            shown_[std::size_t(b)] = epoch_order_[std::size_t(place % count)];
        }
        return shown_.data();
    }
    static double bytes(const Settings& s, std::int64_t count) {
        return double(s.batch_size + count) * sizeof(std::int32_t);
    }

  private:
    // Fisher-Yates shuffle: word t swaps position t with a position not before t.
    void shuffle(const Settings& s, std::uint64_t seed, std::int64_t epoch, std::int64_t count, StopToken* stop) {
        seed_ = seed;
        epoch_ = epoch;
        epoch_order_.resize(std::size_t(count));
        for (std::size_t i = 0; i < epoch_order_.size(); ++i) epoch_order_[i] = std::int32_t(i);
        random::for_each_element(
            input_stream(s, seed, order_kind, epoch, stop), count, [](const auto& w) { return w; },
            [&](std::int64_t t, std::uint32_t word) {
                const auto other = t + std::int64_t((std::uint64_t(word) * std::uint64_t(count - t)) >> 32);
                std::swap(epoch_order_[std::size_t(t)], epoch_order_[std::size_t(other)]);
            });
    }

    std::vector<std::int32_t> epoch_order_, shown_;
    std::int64_t epoch_ = -1;
    std::uint64_t seed_ = 0;
};

// Of one seed, at any step.
template <class T>
class SeedSampler {
  public:
    SeedSampler(const Settings& s, StopToken& stop);
    static double bytes(const Settings& s);

    void start(std::uint64_t seed);
    void take(std::int64_t step);
    const Step<T>& step() const { return step_; }

  private:
    const Settings& s_;
    StopToken& stop_;
    IndependentFeatures features_;
    FormulaTargets<T> formula_targets_;
    std::uint64_t seed_ = 0;
    RowOrder order_;
    std::vector<std::int32_t> labels_;
    SparseRows<T> rows_;
    Matrix<T> dense_, targets_;
    Disturbances<T> disturbances_;
    Step<T> step_;
};

// Of a vector of seeds.
template <class T>
class LanesSampler {
    static constexpr int width = simd::Pack<T>::width;

  public:
    LanesSampler(const Settings& s, StopToken& stop);
    static double bytes(const Settings& s);

    void start(const std::uint64_t* seeds, std::int64_t count);
    void take(std::int64_t step);
    LanesStep<T>& step() { return step_; }
    std::uint64_t seed(int lane) const { return seeds_[lane]; }

  private:
    random::LanesPosition lanes(const random::StreamPosition& at) const {
        return {key_low_, key_high_, at.step, at.stream, at.shape};
    }
    void take_rows(std::int64_t step);
    void put_row(int lane, std::int64_t b);
    void take_labels();
    void take_formula_targets();

    const Settings& s_;
    StopToken& stop_;
    IndependentFeatures features_;
    std::uint64_t seeds_[width] = {};
    random::Word key_low_{}, key_high_{};
    std::vector<RowOrder> orders_;                   // of each lane
    std::vector<std::vector<std::int32_t>> labels_;  // of each lane
    SparseRows<T> lane_rows_;
    Step<T> table_;
    LanesStep<T> step_;
};

// A seed's draws, for the recorder. Empty: there is no further step.
template <class T>
using StepOf = std::function<const Step<T>&()>;

struct Given {};  // callers cannot supply draws

template <class E>
class Sampler {
    using T = Number<E>;
    static constexpr bool one_seed = Entry<E>::width == 1;

  public:
    Sampler(const Settings& s, const Given&, bool, StopToken& stop) : lanes_(s, stop), one_(s, stop) {}
    static double bytes(const Settings& s, bool) {
        return SeedSampler<T>::bytes(s) + (one_seed ? 0 : LanesSampler<T>::bytes(s));
    }
    void start(const std::uint64_t* seeds, std::int64_t, std::int64_t count) {
        if constexpr (one_seed) one_.start(seeds[0]);
        else lanes_.start(seeds, count);
    }
    void take(std::int64_t step) {
        step_ = step;
        if constexpr (one_seed) one_.take(step);
        else lanes_.take(step);
    }
    auto& data() {
        if constexpr (one_seed) return one_.step();
        else return lanes_.step();
    }
    StepOf<T> of_lane(int lane) {
        return [this, lane]() -> const Step<T>& {
            (void)lane;
            if constexpr (!one_seed) {
                one_.start(lanes_.seed(lane));
                one_.take(step_);
            }
            return one_.step();
        };
    }

  private:
    struct None {
        None(const Settings&, StopToken&) {}
    };
    std::conditional_t<one_seed, None, LanesSampler<T>> lanes_;
    SeedSampler<T> one_;
    std::int64_t step_ = 0;
};

extern template class SeedSampler<float>;
extern template class SeedSampler<double>;
extern template class LanesSampler<float>;
extern template class LanesSampler<double>;

}  // namespace fastpolysem::network
