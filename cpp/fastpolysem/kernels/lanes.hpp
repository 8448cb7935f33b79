// Small models: one seed in each lane of every vector. All of the generic step's arithmetic, lane by lane, on the
// basis batch; there is no tile too thin and no row too short, and the noise of all lanes comes from one Philox call.
#pragma once

#include "../gram.hpp"
#include "../noise.hpp"
#include "../optimizer.hpp"

namespace fastpolysem {

// A tile of R x C entries of a product, each a vector over seeds, in registers.
template <class P, int R, int C>
struct LaneTile {
    P sum[R][C] = {};

    // sum_rc = fma over d of a[r * a_row + d * a_step] b[c * b_column + d * b_step], on top of what is there.
    FASTPOLYSEM_INLINE void accumulate(const P* a, std::ptrdiff_t a_row, std::ptrdiff_t a_step, const P* b,
                                       std::ptrdiff_t b_column, std::ptrdiff_t b_step, std::ptrdiff_t depth) {
        for (std::ptrdiff_t d = 0; d < depth; ++d, a += a_step, b += b_step) {
            P x[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) x[r] = a[r * a_row];
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c) {
                const P y = b[c * b_column];
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) sum[r][c] = simd::fma(x[r], y, sum[r][c]);
            }
        }
    }
};

// Cuts a matrix into tiles of most_rows x most_columns and what is left at its edges; sizes come as integral constants.
template <class P>
struct LaneTiles {
    static constexpr int most_rows = simd::registers == 32 ? 4 : 2, most_columns = 4;

    template <class Body>
    static void run(std::ptrdiff_t rows, std::ptrdiff_t columns, Body body) {
        for_each<most_rows>(rows, [&](auto r, std::ptrdiff_t i) __attribute__((always_inline)) {
            for_each<most_columns>(columns,
                                   [&](auto c, std::ptrdiff_t j) __attribute__((always_inline)) { body(r, c, i, j); });
        });
    }
    // body(size, begin): pieces of `most`, then the rest.
    template <int most, class Body>
    FASTPOLYSEM_INLINE static void for_each(std::ptrdiff_t count, Body body) {
        std::ptrdiff_t i = 0;
        for (; i + most <= count; i += most) body(std::integral_constant<int, most>{}, i);
        rest<most - 1>(count - i, i, body);
    }

  private:
    template <int size, class Body>
    FASTPOLYSEM_INLINE static void rest(std::ptrdiff_t left, std::ptrdiff_t i, Body body) {
        if constexpr (size > 0) {
            if (left == size) return body(std::integral_constant<int, size>{}, i);
            rest<size - 1>(left, i, body);
        }
    }
};

template <class T>
class LanesKernel {
    using P = simd::Pack<T>;
    using Packs = Buffer<P>;

  public:
    static constexpr int width = P::width;  // seeds trained together

    explicit LanesKernel(const Settings& s)
        : s_(s),
          n_(s.n_features),
          m_(s.n_hidden),
          noise_rows_(s.noise_sharing == NoiseSharing::step ? 1 : n_),
          relu_(s.activation == Activation::relu),
          schedule_(s),
          shape_(s),
          encoder_(s),
          g_(size(n_, n_)),
          d_(size(n_, n_)),
          sum_(size(n_, n_)),
          d_sum_(size(1, n_)),
          factor_(std::size_t(n_)) {
        if (!s.tied) decoder_ = Side(s);
        if (s.bias) bias_ = Packs(size(1, n_)), bias_first_ = Packs(size(1, n_)), bias_second_ = Packs(size(1, n_));
        for (std::size_t j = 0; j < factor_.size(); ++j)
            factor_[j] = T(2 * (s.importance.empty() ? 1.0 : s.importance[j]));
    }

    void start(const std::uint64_t* seeds) {  // `width` of them; weights are set lane by lane
        schedule_.restart();
        encoder_.forget();
        decoder_.forget();
        bias_first_.clear();
        bias_second_.clear();
        for (int lane = 0; lane < random::Word::width; ++lane) {
            const std::uint64_t seed = seeds[lane % width];
            key_low_.v[lane] = std::uint32_t(seed);
            key_high_.v[lane] = std::uint32_t(seed >> 32);
        }
    }

    void set(int lane, const Parameters<T>& weights) {
        put(lane, weights.encoder, encoder_.weights);
        put(lane, weights.decoder, decoder_.weights);
        put(lane, weights.bias, bias_);
    }

    void read(int lane, Parameters<T>& weights) const {
        take(lane, encoder_.weights, weights.encoder);
        take(lane, decoder_.weights, weights.decoder);
        take(lane, bias_, weights.bias);
    }

    // The noise of the next step: drawn by every lane's own seed, or given for a lane.
    void draw(std::uint32_t step) {
        make_room_for_noise();
        const std::uint32_t shape = random::shape_word(std::uint32_t(n_), std::uint32_t(m_));
        const auto block = [&](std::int64_t b) {
            using random::Word;
            return random::philox(
                {Word::all(std::uint32_t(b)), Word::all(step), Word::all(random::noise_stream), Word::all(shape)},
                key_low_, key_high_);
        };
        const std::int64_t count = noise_rows_ * m_;
        if (s_.noise == Noise::rademacher) {
            const auto minus = random::Word::all(0x80000000u);
            const auto one = simd::bits_as<std::uint32_t>(random::Real::all(1.0f));
            for (std::int64_t e = 0; e < count; e += 128) {
                const auto words = block(e / 128);
                for (std::int64_t i = 0; i < 128 && e + i < count; ++i) {
                    const auto sign =
                        ((words[std::size_t(i / 32)] << int(31 - i % 32)) & minus) ^ minus;  // a set bit is +1
                    put_noise(e + i, simd::bits_as<float>(one | sign));
                }
            }
            return;
        }
        const int used = shape_.elements_per_block();
        for (std::int64_t e = 0; e < count; e += used) {
            const auto z = shape_(block(e / used));
            for (int i = 0; i < used && e + i < count; ++i) put_noise(e + i, z[std::size_t(i)]);
        }
    }
    void give_noise(int lane, const Matrix<T>& noise) {
        make_room_for_noise();
        put(lane, noise, noise_);
    }
    void read_noise(int lane, Matrix<T>& noise) const { take(lane, noise_, noise); }

    void step() {
        const bool noisy = noise_.size() > 0, own_noise = noisy && s_.noise_sharing == NoiseSharing::input;
        if (s_.tied && !own_noise) {
            noisy || s_.bias ? symmetric_output_gradient<true>() : symmetric_output_gradient<false>();
        } else {
            Side& reader = s_.tied ? encoder_ : decoder_;
            multiply_rows(encoder_.weights, reader.weights, n_, g_);
            if (noisy) multiply_rows(noise_, reader.weights, noise_rows_, offset_);
            output_gradient(noisy);
        }
        const StepConstants<T> c = schedule_.next();
        const P* shared = noisy && !own_noise ? noise_.data() : nullptr;
        const P* own = own_noise ? noise_.data() : nullptr;
        with_update(s_, [&](auto update) {
            using U = decltype(update);
            if (s_.tied) {
                descend<U>(encoder_, sum_.data(), encoder_, shared, own, c);
            } else {
                descend<U>(encoder_, sum_.data(), decoder_, nullptr, nullptr, c);
                descend<U>(decoder_, d_.data(), encoder_, shared, own, c);
                std::swap(decoder_.weights, decoder_.fresh);
            }
            std::swap(encoder_.weights, encoder_.fresh);
            using B = typename U::WithoutL1;
            P none = P::zero();
            for (std::size_t j = 0; j < bias_.size(); ++j)
                B::apply(bias_[j], d_sum_[j], B::has_first ? bias_first_[j] : none,
                         B::has_second ? bias_second_[j] : none, c);
        });
    }

  private:
    static std::size_t size(std::int64_t rows, std::int64_t columns) { return std::size_t(rows * columns); }
    std::size_t at(std::ptrdiff_t i, std::ptrdiff_t j) const { return std::size_t(i * n_ + j); }

    struct Side {
        Packs weights, first, second;
        Packs fresh;  // weights after the step at work

        Side() = default;
        explicit Side(const Settings& s)
            : weights(size(s.n_features, s.n_hidden)), fresh(size(s.n_features, s.n_hidden)) {
            if (s.is_adam() || s.has_momentum()) first = Packs(weights.size());
            if (s.is_adam()) second = Packs(weights.size());
        }
        void forget() {
            weights.clear();
            first.clear();
            second.clear();
        }
    };

    // to = a b^T, from rows of m.
    void multiply_rows(const Packs& a, const Packs& b, std::ptrdiff_t rows, Packs& to) const {
        LaneTiles<P>::run(rows, n_, [&](auto r, auto c, std::ptrdiff_t i, std::ptrdiff_t j) {
            multiply_tile<decltype(r)::value, decltype(c)::value>(a.data() + i * m_, b.data() + j * m_,
                                                                  to.data() + i * n_ + j);
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

    // One weight matrix's step: fresh from old. The gradient, which never leaves the registers, is
    //     sum_j x[j][i] y[j]   + (D^T 1)_i shared   or   + sum_b D[b][i] own[b]   with noise on this side.
    struct Descent {
        std::ptrdiff_t n, m;
        const P *x, *y, *old, *u, *shared, *d, *own;
        P *fresh, *first, *second;
    };
    template <class U>
    void descend(Side& side, const P* x, const Side& other, const P* shared, const P* own, const StepConstants<T>& c) {
        const Descent d{n_,     m_,        x,   other.weights.data(), side.weights.data(), d_sum_.data(),
                        shared, d_.data(), own, side.fresh.data(),    side.first.data(),   side.second.data()};
        if (c.l1 != 0 || U::is_orthant) descend<U>(d, c);
        else descend<typename U::WithoutL1>(d, c);
    }
    template <class U>
    static void descend(const Descent& d, const StepConstants<T>& c) {
        LaneTiles<P>::run(d.n, d.m, [&](auto rows, auto columns, std::ptrdiff_t i, std::ptrdiff_t k) {
            descend_tile<U, decltype(rows)::value, decltype(columns)::value>(d, i, k, c);
        });
    }
    template <class U, int R, int C>
    static void descend_tile(const Descent& d, std::ptrdiff_t i, std::ptrdiff_t k, const StepConstants<T>& c) {
        LaneTile<P, R, C> t;
        t.accumulate(d.x + i, 1, d.n, d.y + k, 1, d.m, d.n);
        if (d.own) t.accumulate(d.d + i, 1, d.n, d.own + k, 1, d.m, d.n);
        if (d.shared)
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
                for (int v = 0; v < C; ++v) t.sum[r][v] = simd::fma(d.u[i + r], d.shared[k + v], t.sum[r][v]);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < C; ++v) {
                const std::ptrdiff_t e = (i + r) * d.m + k + v;
                P w = d.old[e], none = P::zero();
                U::apply(w, t.sum[r][v], U::has_first ? d.first[e] : none, U::has_second ? d.second[e] : none, c);
                d.fresh[e] = w;
            }
    }

    // Tied, one noise for all inputs: G is symmetric, and D_ij, D_ji follow from the same entry. sum = D + D^T and, if
    // shifted (by noise or bias), d_sum = the column sums of D, rows ascending. Rows are taken in blocks, each first
    // against itself, which also gives c = W xi, then against the earlier ones.
    template <bool shifted>
    void symmetric_output_gradient() {
        using Tiles = LaneTiles<P>;
        Tiles::template for_each<Tiles::most_rows>(n_, [&](auto rows, std::ptrdiff_t i) {
            constexpr int R = decltype(rows)::value;
            LaneTile<P, R, R> own;
            P total[R] = {};  // of the rows' columns of D so far
            multiply_own_rows<shifted>(own, i);
            Tiles::template for_each<Tiles::most_columns>(i, [&](auto columns, std::ptrdiff_t j) {
                finish_earlier_rows<shifted, R, decltype(columns)::value>(total, i, j);
            });
            finish_own_rows<shifted>(own, total, i);
        });
    }
    // The rows against themselves, up to the diagonal; shift = their part of c + b.
    template <bool shifted, int R>
    FASTPOLYSEM_INLINE void multiply_own_rows(LaneTile<P, R, R>& own, std::ptrdiff_t i) {
        const bool noisy = noise_.size() > 0;
        const P *w = encoder_.weights.data() + i * m_, *xi = noise_.data();
        P c[R] = {};
        for (std::ptrdiff_t k = 0; k < m_; ++k, ++w) {
            P x[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) x[r] = w[r * m_];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
                for (int s = 0; s <= r; ++s) own.sum[r][s] = simd::fma(x[r], x[s], own.sum[r][s]);
            if (!shifted || !noisy) continue;
            const P y = xi[k];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) c[r] = simd::fma(x[r], y, c[r]);
        }
        if (shifted && noisy)
            for (int r = 0; r < R; ++r) offset_[std::size_t(i + r)] = c[r];
    }
    template <bool shifted, int R, int C>
    void finish_earlier_rows(P (&total)[R], std::ptrdiff_t i, std::ptrdiff_t j) {
        const P* w = encoder_.weights.data();
        P *below = sum_.data() + i * n_ + j, *above = sum_.data() + j * n_ + i, *d_sum = d_sum_.data() + j;
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
        P* block = sum_.data() + i * n_ + i;
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
            for (int r = 0; r < R; ++r) d_sum_[std::size_t(i + r)] = total[r];
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
        if (shifted && noise_.size() > 0) p = p + offset_[std::size_t(j)];
        if (shifted && s_.bias) p = p + bias_[std::size_t(j)];
        const P error = (p - target) * P::all(factor_[std::size_t(j)]);
        return relu_ ? simd::select<T>(p > P::zero(), error, P::zero()) : error;
    }

    // D on the basis batch, its column sums, and sum = D + D^T (tied) or D^T.
    void output_gradient(bool noisy) {
        const std::ptrdiff_t next_shift = noise_rows_ == 1 ? 0 : n_;
        for (std::ptrdiff_t j = 0; j < n_; ++j) {
            const P factor = P::all(factor_[std::size_t(j)]);
            P total = P::zero();
            for (std::ptrdiff_t b = 0; b < n_; ++b) {
                P p = g_[at(b, j)];
                if (noisy) p = p + offset_[std::size_t(b * next_shift + j)];
                if (s_.bias) p = p + bias_[std::size_t(j)];
                P error = (b == j ? p - P::all(1) : p) * factor;
                if (relu_) error = simd::select<T>(p > P::zero(), error, P::zero());
                d_[at(b, j)] = sum_[at(j, b)] = error;
                total = total + error;
            }
            d_sum_[std::size_t(j)] = total;
        }
        if (!s_.tied) return;
        for (std::ptrdiff_t i = 0; i < n_; ++i)
            for (std::ptrdiff_t j = 0; j <= i; ++j) sum_[at(i, j)] = sum_[at(j, i)] = d_[at(i, j)] + d_[at(j, i)];
    }

    void make_room_for_noise() {
        if (noise_.size() > 0) return;
        noise_ = Packs(size(noise_rows_, m_));
        offset_ = Packs(size(noise_rows_, n_));
    }
    FASTPOLYSEM_INLINE void put_noise(std::int64_t e, random::Real unit) {
        if constexpr (sizeof(T) == 4) {
            noise_[std::size_t(e)] = unit * P::all(T(s_.noise_std));
        } else {
            for (int lane = 0; lane < width; ++lane) noise_[std::size_t(e)].v[lane] = T(unit[lane]) * T(s_.noise_std);
        }
    }

    static void put(int lane, const Matrix<T>& from, Packs& to) {
        for (std::ptrdiff_t i = 0; i < from.rows; ++i)
            for (std::ptrdiff_t k = 0; k < from.columns; ++k)
                to[std::size_t(i * from.columns + k)].v[lane] = from.row(i)[k];
    }
    static void take(int lane, const Packs& from, Matrix<T>& to) {
        for (std::ptrdiff_t i = 0; i < to.rows; ++i)
            for (std::ptrdiff_t k = 0; k < to.columns; ++k)
                to.row(i)[k] = from[std::size_t(i * to.columns + k)].v[lane];
    }

    const Settings& s_;
    std::ptrdiff_t n_, m_, noise_rows_;
    bool relu_;
    Schedule<T> schedule_;
    NoiseShape shape_;
    random::Word key_low_{}, key_high_{};
    Side encoder_, decoder_;
    Packs bias_, bias_first_, bias_second_;
    Packs g_, d_, sum_;      // n x n
    Packs d_sum_;            // n
    Packs noise_, offset_;   // of the next step; noise W_dec^T
    std::vector<T> factor_;  // dL/dy = factor (y - x)
};

}  // namespace fastpolysem
