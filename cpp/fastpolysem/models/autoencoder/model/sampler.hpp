// The draws of each step for one seed, or for a vector of seeds (E a vector): given by the caller, or from the seeds'
// streams.
#pragma once

#include "fastpolysem/models/autoencoder/model/parameters.hpp"

namespace fastpolysem::autoencoder {

// Noise given by the caller instead of drawn: (sets, steps, [rows,] n_hidden).
template <class T>
struct GivenNoise {
    const T* data = nullptr;  // null: none
    std::int64_t sets = 0;    // 1, shared by all seeds, or one for each
};

template <class E>
class Sampler {
    using T = Number<E>;
    static constexpr int width = Entry<E>::width;
    static constexpr bool one_seed = width == 1;

  public:
    // ahead: whether the noise of the following step is needed, too.
    Sampler(const Settings& s, const GivenNoise<T>& given, bool ahead, StopToken& stop)
        : s_(s), given_(given), ahead_(ahead), stop_(stop), features_(features_of(s)), shape_(s.noise) {
        const std::int64_t m = s.n_hidden;
        if (s.noise.kind != Noise::none || given.data) {
            noise_ = Matrix<E>(s.rows(s.noise_sharing), m);
            if (ahead) next_noise_ = Matrix<E>(s.rows(s.noise_sharing), m);
            if (!one_seed) lane_noise_ = Matrix<T>(s.rows(s.noise_sharing), m);
        }
        if (s.dropout != 0) dropout_ = Matrix<E>(s.rows(s.dropout_sharing), m);
    }
    static double bytes(const Settings& s, bool ahead) {
        const std::int64_t m = s.n_hidden, noise_rows = s.rows(s.noise_sharing);
        double sum = s.InputSettings::bytes();
        if (s.noise.kind != Noise::none)
            sum += (1 + ahead) * Matrix<E>::bytes(noise_rows, m) + (one_seed ? 0 : Matrix<T>::bytes(noise_rows, m));
        return sum + (s.dropout == 0 ? 0 : Matrix<E>::bytes(s.rows(s.dropout_sharing), m));
    }

    // `seeds` contains `count` seeds, the first of which has index `first` in the task; lanes beyond `count` repeat the
    // last seed.
    void start(const std::uint64_t* seeds, std::int64_t first, std::int64_t count) {
        seed_ = seeds[0];
        first_ = first;
        count_ = count;
        for (int lane = 0; lane < random::Word::width; ++lane) {
            const std::uint64_t seed = seeds[std::min<std::int64_t>(lane % width, count - 1)];
            key_low_.v[lane] = std::uint32_t(seed);
            key_high_.v[lane] = std::uint32_t(seed >> 32);
        }
    }

    // Steps are taken in order.
    void take(std::int64_t step) {
        step_ = step;
        learning_rate_ = s_.learning_rate_at(step);
        if (s_.sampled())
            draw_batch(s_, features_, stream(s_, seed_, inputs_kind, step, &stop_),
                       stream(s_, seed_, magnitudes_kind, step, &stop_), batch_);
        if constexpr (one_seed) {
            if (!dropout_.empty())
                draw_dropout<T>(s_.dropout, stream(s_, seed_, dropout_kind, step, &stop_), dropout_.rows,
                                dropout_.columns, into(dropout_));
        }
        if (noise_.empty()) return;
        if (!ahead_) return draw(step, noise_);
        if (step == 0) draw(0, noise_);
        else std::swap(noise_, next_noise_);
        if (step + 1 < s_.steps) draw(step + 1, next_noise_);
    }

    // For the kernel.
    StepData<E> data() const {
        StepData<E> step;
        step.batch = s_.sampled() ? &batch_ : s_.fixed_batch.get();
        step.l1 = s_.l1_at(step_);
        step.learning_rate = learning_rate_;
        if (!noise_.empty()) step.noise = &noise_;
        if (!next_noise_.empty()) step.next_noise = &next_noise_;
        if (!dropout_.empty()) step.dropout = &dropout_;
        return step;
    }
    // ... and for recording a single seed.
    StepData<T> of_lane(int lane) {
        if constexpr (one_seed) return data();
        else {
            StepData<T> step;
            step.l1 = s_.l1_at(step_);
            if (noise_.empty()) return step;
            take_lane(noise_, lane, lane_noise_);
            step.noise = &lane_noise_;
            return step;
        }
    }

  private:
    static auto into(Matrix<T>& to) {
        return [&to](std::int64_t row, std::int64_t column) -> T& { return to.row(row)[column]; };
    }
    const T* given(std::int64_t lane, std::int64_t step) const {
        const std::int64_t set = given_.sets == 1 ? 0 : first_ + lane;
        return given_.data + (set * s_.steps + step) * noise_.rows * noise_.columns;
    }
    void draw(std::int64_t step, Matrix<E>& noise) {
        if constexpr (one_seed) {
            if (given_.data) return noise.copy_from(given(0, step));
            draw_noise<T>(s_.noise, stream(s_, seed_, noise_kind, step, &stop_), noise.rows, noise.columns,
                          into(noise));
        } else if (given_.data) {
            for (int lane = 0; lane < count_; ++lane) {
                lane_noise_.copy_from(given(lane, step));
                put_lane(lane_noise_, lane, noise);
            }
        } else {
            const random::StreamPosition at = stream(s_, 0, noise_kind, step);
            draw_lane_noise<T>(
                s_.noise, shape_, random::LanesPosition{key_low_, key_high_, at.step, at.stream, at.shape},
                noise.rows * noise.columns, [to = noise.row(0)](std::int64_t e, E draw) { to[e] = draw; });
        }
    }

    const Settings& s_;
    const GivenNoise<T> given_;
    bool ahead_;
    StopToken& stop_;
    IndependentFeatures features_;
    NoiseShape shape_;
    std::uint64_t seed_ = 0;
    random::Word key_low_{}, key_high_{};  // of the seeds
    std::int64_t first_ = 0, count_ = 0, step_ = 0;
    double learning_rate_ = 0;
    SparseBatch batch_;
    Matrix<E> noise_, next_noise_, dropout_;
    Matrix<T> lane_noise_;
};

// Compiled once, in sampler.cpp.
extern template class Sampler<float>;
extern template class Sampler<double>;
extern template class Sampler<simd::Pack<float>>;
extern template class Sampler<simd::Pack<double>>;

}  // namespace fastpolysem::autoencoder
