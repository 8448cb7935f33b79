// Small models: one seed in each lane of every vector. All arithmetic of the generic step is done lane by lane, on the
// basis batch. Thin tiles and short rows therefore waste nothing, and one Philox call gives the noise of all lanes.
#pragma once

#include "fastpolysem/models/autoencoder/kernels/lanes_descent.hpp"
#include "fastpolysem/models/autoencoder/kernels/table.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class LanesKernel {
    using P = simd::Pack<T>;
    using Packs = Matrix<P>;  // a vector over seeds for each entry

    // Entries of G and W beyond which a vector of models no longer fits into the caches.
    static constexpr std::int64_t limit = 1 << 14;
    // Up to this many entries, and with at least this many seeds to fill the lanes, it is the fastest kernel.
    static constexpr std::int64_t best = 1 << 11, enough_seeds = 4;
    static std::int64_t entries(const Settings& s) { return s.n_features * (s.n_features + s.n_hidden); }

  public:
    using Model = autoencoder::Model<T>;
    using Entry = P;
    static constexpr const char* name = "lanes";
    static constexpr bool looks_ahead = false;
    static constexpr int steps_between_checks = 16;  // a step takes a microsecond, and is always finished

    static std::string refusal(const Settings& s) {
        if (std::string reason = refusal_in_gram_space(s); !reason.empty()) return reason;
        if (!s.basis()) return "it supports the basis batch only; use 'dense' or 'generic'";
        if (entries(s) > limit)
            return "it is for small models, n_features * (n_features + n_hidden) up to " + std::to_string(limit);
        return "";
    }
    static bool suits(const Settings& s, std::int64_t seeds) { return entries(s) <= best && seeds >= enough_seeds; }
    static double bytes(const Settings& s) {
        const std::int64_t n = s.n_features;
        return (2 + s.has_first() + s.has_second()) * Parameters<P>::bytes(s) + 3 * Packs::bytes(n, n) +
               Packs::bytes(1, n) + Packs::bytes(s.rows(s.noise_sharing), n);
    }

    LanesKernel(const Settings& s, const GradientPass<T>&)
        : s_(s),
          n_(s.n_features),
          m_(s.n_hidden),
          relu_(s.activation == Activation::relu),
          counter_(s),
          weights_(s),
          fresh_(s),
          g_(n_, n_),
          d_(n_, n_),
          sum_(n_, n_),
          d_sum_(1, n_),
          factor_(std::size_t(n_)) {
        if (s.has_first()) first_ = Parameters<P>(s);
        if (s.has_second()) second_ = Parameters<P>(s);
        for (std::size_t j = 0; j < factor_.size(); ++j)
            factor_[j] = T(2 * (s.importance.empty() ? 1.0 : s.importance[j]));
    }

    void set(int lane, const Parameters<T>& weights) {
        put_lane(weights.encoder, lane, weights_.encoder);
        put_lane(weights.decoder, lane, weights_.decoder);
        put_lane(weights.bias, lane, weights_.bias);
    }

    void begin(const StepData<P>&, StopToken&) {
        counter_.restart();
        first_.clear();
        second_.clear();
    }

    void read(int lane, Parameters<T>& weights) const {
        take_lane(weights_.encoder, lane, weights.encoder);
        take_lane(weights_.decoder, lane, weights.decoder);
        take_lane(weights_.bias, lane, weights.bias);
    }

    void step(const StepData<P>& step, StopToken&) {
        noise_ = step.noise ? step.noise->row(0) : nullptr;
        noise_rows_ = step.noise ? step.noise->rows : 0;
        const bool own_noise = noise_ && s_.noise_sharing == Sharing::input;
        if (noise_ && offset_.rows != noise_rows_) offset_ = Packs(noise_rows_, n_);
        if (s_.tied && !own_noise) {
            noise_ || s_.bias ? symmetric_output_gradient<true>() : symmetric_output_gradient<false>();
        } else {
            multiply_rows(weights_.encoder.row(0), weights_.reader(), n_, g_);
            if (noise_) multiply_rows(noise_, weights_.reader(), noise_rows_, offset_);
            output_gradient();
        }
        const StepConstants<T> c = counter_.next(s_.weight_l1(step.l1), step.learning_rate);
        const P *shared = own_noise ? nullptr : noise_, *own = own_noise ? noise_ : nullptr;
        with_update(s_, [&](auto update) {
            using U = decltype(update);
            if (s_.tied) {
                descend_side<U>(&Parameters<P>::encoder, sum_, weights_.encoder, shared, own, c);
            } else {
                descend_side<U>(&Parameters<P>::encoder, sum_, weights_.decoder, nullptr, nullptr, c);
                descend_side<U>(&Parameters<P>::decoder, d_, weights_.encoder, shared, own, c);
                std::swap(weights_.decoder, fresh_.decoder);
            }
            std::swap(weights_.encoder, fresh_.encoder);
            if (s_.bias) step_bias<typename U::WithoutL1>(c);
        });
    }

  private:
    template <class U>
    void step_bias(const StepConstants<T>& c) {
        P none = P::zero();
        P *b = weights_.bias.row(0), *first = first_.bias.row(0), *second = second_.bias.row(0);
        for (std::ptrdiff_t j = 0; j < n_; ++j)
            U::apply(b[j], d_sum_.row(0)[j], U::has_first ? first[j] : none, U::has_second ? second[j] : none, c);
    }

    // to = a b^T, from rows of m.
    void multiply_rows(const P* a, const Packs& b, std::ptrdiff_t rows, Packs& to) const {
        LaneTiles<P>::run(rows, n_, [&](auto r, auto c, std::ptrdiff_t i, std::ptrdiff_t j) {
            multiply_tile<decltype(r)::value, decltype(c)::value>(a + i * m_, b.row(j), to.row(i) + j);
        });
    }
    template <int R, int C>
    void multiply_tile(const P* a, const P* b, P* to) const {
        LaneTile<P, R, C> t;
        t.accumulate(a, m_, 1, b, m_, 1, m_);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < C; ++v) to[r * n_ + v] = t.sum[r][v];
    }

    template <class U>
    void descend_side(Packs Parameters<P>::* side, const Packs& x, const Packs& other, const P* shared, const P* own,
                      const StepConstants<T>& c) {
        const Descent<T> d{
            n_,     m_,        x.row(0), other.row(0),          (weights_.*side).row(0), d_sum_.row(0),
            shared, d_.row(0), own,      (fresh_.*side).row(0), (first_.*side).row(0),   (second_.*side).row(0)};
        if (c.l1 != 0 || U::is_orthant) descend<U, T>(d, c);
        else descend<typename U::WithoutL1, T>(d, c);
    }
    // Tied, one noise for all inputs: G is symmetric, and D_ij, D_ji follow from the same entry. sum = D + D^T and, if
    // shifted (by noise or bias), d_sum = the column sums of D, rows ascending. Rows are processed in blocks, each
    // first with itself, which also gives c = W xi, then with the earlier ones.
    template <bool shifted>
    void symmetric_output_gradient() {
        using Tiles = LaneTiles<P>;
        Tiles::template for_each<Tiles::most_rows>(n_, [&](auto rows, std::ptrdiff_t i) {
            constexpr int R = decltype(rows)::value;
            LaneTile<P, R, R> own;
            P total[R] = {};  // partial column sums of D for these rows
            multiply_own_rows<shifted>(own, i);
            Tiles::template for_each<Tiles::most_columns>(i, [&](auto columns, std::ptrdiff_t j) {
                finish_earlier_rows<shifted, R, decltype(columns)::value>(total, i, j);
            });
            finish_own_rows<shifted>(own, total, i);
        });
    }
    // The rows with themselves, up to the diagonal; shift = their part of c + b.
    template <bool shifted, int R>
    FASTPOLYSEM_INLINE void multiply_own_rows(LaneTile<P, R, R>& own, std::ptrdiff_t i) {
        const P* w = weights_.encoder.row(i);
        P c[R] = {};
        for (std::ptrdiff_t k = 0; k < m_; ++k, ++w) {
            P x[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) x[r] = w[r * m_];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
                for (int s = 0; s <= r; ++s) own.sum[r][s] = simd::fma(x[r], x[s], own.sum[r][s]);
            if (!shifted || !noise_) continue;
            const P y = noise_[k];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) c[r] = simd::fma(x[r], y, c[r]);
        }
        if (shifted && noise_)
            for (int r = 0; r < R; ++r) offset_.row(0)[i + r] = c[r];
    }
    template <bool shifted, int R, int C>
    void finish_earlier_rows(P (&total)[R], std::ptrdiff_t i, std::ptrdiff_t j) {
        const P* w = weights_.encoder.row(0);
        P *below = sum_.row(i) + j, *above = sum_.row(j) + i, *d_sum = d_sum_.row(0) + j;
        LaneTile<P, R, C> t;
        t.accumulate(w + i * m_, m_, 1, w + j * m_, m_, 1, m_);
        P earlier[C];
#pragma GCC unroll 4
        for (int v = 0; v < C; ++v) earlier[v] = d_sum[v];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < C; ++v) {
                below[r * n_ + v] = above[v * n_ + r] =
                    both_slopes<shifted>(t.sum[r][v], i + r, j + v, total[r], earlier[v]);
            }
        if (shifted)
#pragma GCC unroll 4
            for (int v = 0; v < C; ++v) d_sum[v] = earlier[v];
    }
    template <bool shifted, int R>
    FASTPOLYSEM_INLINE void finish_own_rows(const LaneTile<P, R, R>& own, P (&total)[R], std::ptrdiff_t i) {
        P* block = sum_.row(i) + i;
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (int s = 0; s < r; ++s) {
                block[r * n_ + s] = block[s * n_ + r] =
                    both_slopes<shifted>(own.sum[r][s], i + r, i + s, total[r], total[s]);
            }
            const P diagonal = slope<shifted>(own.sum[r][r], i + r, P::all(1));
            total[r] = total[r] + diagonal;
            block[r * n_ + r] = diagonal + diagonal;
        }
        if (shifted)
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) d_sum_.row(0)[i + r] = total[r];
    }
    // D_ij + D_ji, i != j, from G_ij; adds each to its column's sum.
    template <bool shifted>
    FASTPOLYSEM_INLINE P both_slopes(P g, std::ptrdiff_t i, std::ptrdiff_t j, P& sum_i, P& sum_j) const {
        const P at_j = slope<shifted>(g, j, P::zero()), at_i = slope<shifted>(g, i, P::zero());
        sum_j = sum_j + at_j;
        sum_i = sum_i + at_i;
        return at_j + at_i;
    }
    // dL/dpre of output j.
    template <bool shifted>
    FASTPOLYSEM_INLINE P slope(P p, std::ptrdiff_t j, P target) const {
        if (shifted && noise_) p = p + offset_.row(0)[j];
        if (shifted && s_.bias) p = p + weights_.bias.row(0)[j];
        const P error = (p - target) * P::all(factor_[std::size_t(j)]);
        return relu_ ? simd::select<T>(p > P::zero(), error, P::zero()) : error;
    }

    // D on the basis batch, its column sums, and sum = D + D^T (tied) or D^T.
    void output_gradient() {
        for (std::ptrdiff_t j = 0; j < n_; ++j) {
            const P factor = P::all(factor_[std::size_t(j)]);
            P total = P::zero();
            for (std::ptrdiff_t b = 0; b < n_; ++b) {
                P p = g_.row(b)[j];
                if (noise_) p = p + offset_.row(noise_rows_ == 1 ? 0 : b)[j];
                if (s_.bias) p = p + weights_.bias.row(0)[j];
                P error = (b == j ? p - P::all(1) : p) * factor;
                if (relu_) error = simd::select<T>(p > P::zero(), error, P::zero());
                d_.row(b)[j] = sum_.row(j)[b] = error;
                total = total + error;
            }
            d_sum_.row(0)[j] = total;
        }
        if (!s_.tied) return;
        for (std::ptrdiff_t i = 0; i < n_; ++i)
            for (std::ptrdiff_t j = 0; j <= i; ++j) sum_.row(i)[j] = sum_.row(j)[i] = d_.row(i)[j] + d_.row(j)[i];
    }

    const Settings& s_;
    std::ptrdiff_t n_, m_;
    bool relu_;
    StepCounter<T> counter_;
    Parameters<P> weights_, fresh_, first_, second_;  // fresh: weights after the current step
    Packs g_, d_, sum_;                               // n x n
    Packs d_sum_;                                     // n
    const P* noise_ = nullptr;                        // of the current step; null: none
    std::ptrdiff_t noise_rows_ = 0;
    Packs offset_;           // noise W_dec^T
    std::vector<T> factor_;  // dL/dy = factor (y - x)
};

}  // namespace fastpolysem::autoencoder
