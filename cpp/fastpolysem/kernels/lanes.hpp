// Small models: one seed in each lane of every vector. All of the generic step's arithmetic, lane by lane, on the
// basis batch; there is no tile too thin and no row too short, and the noise of all lanes comes from one Philox call.
#pragma once

#include "../gram.hpp"
#include "../noise.hpp"
#include "../optimizer.hpp"

namespace fastpolysem {

// C_ij = sum_k A_ik B_kj in ascending k, where an entry is a vector over seeds; C is handed out entry by entry.
template <class P>
class LaneProduct {
    static constexpr int most_rows = simd::registers == 32 ? 4 : 2;
    static constexpr int most_columns(int rows) { return (simd::registers == 32 ? 24 : 10) / (rows < 2 ? 2 : rows); }

  public:
    struct Operand {
        const P* data;
        std::ptrdiff_t row, column;
    };

    // before(i, j) is where the chain of an entry starts, use(i, j, sum) takes its end. lower_only: entries with j <=
    // i, and a few more.
    template <class Before, class Use>
    static void run(Operand a, Operand b, std::ptrdiff_t rows, std::ptrdiff_t depth, std::ptrdiff_t columns,
                    bool lower_only, Before before, Use use) {
        const EvenPieces down(rows, lower_only ? 2 : most_rows);
        for (std::ptrdiff_t t = 0; t < down.pieces; ++t) {
            const std::ptrdiff_t i = down.begin(t), r = down.begin(t + 1) - i;
            pick_rows<most_rows>(int(r), i, lower_only ? i + r : columns, {a.data + i * a.row, a.row, a.column}, b,
                                 depth, before, use);
        }
    }
    // Into a matrix of `columns` entries a row, from zero or onto what is there.
    static void run(Operand a, Operand b, P* c, std::ptrdiff_t rows, std::ptrdiff_t depth, std::ptrdiff_t columns,
                    bool onto = false, bool lower_only = false) {
        const auto store = [=](std::ptrdiff_t i, std::ptrdiff_t j, P sum)
                               __attribute__((always_inline)) { c[i * columns + j] = sum; };
        if (onto)
            run(
                a, b, rows, depth, columns, lower_only,
                [=](std::ptrdiff_t i, std::ptrdiff_t j) __attribute__((always_inline)) { return c[i * columns + j]; },
                store);
        else run(a, b, rows, depth, columns, lower_only, FromZero{}, store);
    }
    struct FromZero {
        FASTPOLYSEM_INLINE P operator()(std::ptrdiff_t, std::ptrdiff_t) const { return P::zero(); }
    };

  private:
    template <int R, class Before, class Use>
    static void pick_rows(int r, std::ptrdiff_t i, std::ptrdiff_t columns, Operand a, Operand b, std::ptrdiff_t depth,
                          Before before, Use use) {
        if (r == R) {
            const EvenPieces across(columns, most_columns(R));
            for (std::ptrdiff_t u = 0; u < across.pieces; ++u) {
                const std::ptrdiff_t j = across.begin(u);
                pick_columns<R, most_columns(R)>(int(across.begin(u + 1) - j), i, j, a,
                                                 {b.data + j * b.column, b.row, b.column}, depth, before, use);
            }
            return;
        }
        if constexpr (R > 1) pick_rows<R - 1>(r, i, columns, a, b, depth, before, use);
    }
    template <int R, int C, class Before, class Use>
    static void pick_columns(int columns, std::ptrdiff_t i, std::ptrdiff_t j, Operand a, Operand b,
                             std::ptrdiff_t depth, Before before, Use use) {
        if (columns == C) return tile<R, C>(i, j, a, b, depth, before, use);
        if constexpr (C > 1) pick_columns<R, C - 1>(columns, i, j, a, b, depth, before, use);
    }
    template <int R, int C, class Before, class Use>
    static void tile(std::ptrdiff_t i0, std::ptrdiff_t j0, Operand a, Operand b, std::ptrdiff_t depth, Before before,
                     Use use) {
        P sum[R][C];
#pragma GCC unroll 4
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 12
            for (int j = 0; j < C; ++j) sum[i][j] = before(i0 + i, j0 + j);
        for (std::ptrdiff_t k = 0; k < depth; ++k, a.data += a.column, b.data += b.row) {
            P x[R];
#pragma GCC unroll 4
            for (int i = 0; i < R; ++i) x[i] = a.data[i * a.row];
#pragma GCC unroll 12
            for (int j = 0; j < C; ++j) {
                const P y = b.data[j * b.column];
#pragma GCC unroll 4
                for (int i = 0; i < R; ++i) sum[i][j] = simd::fma(x[i], y, sum[i][j]);
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 12
            for (int j = 0; j < C; ++j) use(i0 + i, j0 + j, sum[i][j]);
    }
};

template <class T>
class LanesKernel {
    using P = simd::Pack<T>;
    using Packs = Buffer<P>;
    using Multiply = LaneProduct<P>;

  public:
    static constexpr int width = P::width;  // seeds trained together

    explicit LanesKernel(const Settings& s)
        : s_(s),
          n_(s.n_features),
          m_(s.n_hidden),
          noise_rows_(s.noise_sharing == NoiseSharing::step ? 1 : n_),
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
            for (std::int64_t e = 0; e < count; e += 128) {
                const auto words = block(e / 128);
                for (std::int64_t i = 0; i < 128 && e + i < count; ++i) {
                    const auto sign =
                        ((words[std::size_t(i / 32)] << int(31 - i % 32)) & minus) ^ minus;  // a set bit is +1
                    const auto one = simd::bits_as<std::uint32_t>(random::Real::all(1.0f));
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
        Side& reader = s_.tied ? encoder_ : decoder_;
        const typename Multiply::Operand enc{encoder_.weights.data(), m_, 1}, dec{reader.weights.data(), m_, 1};
        const typename Multiply::Operand dec_transposed{reader.weights.data(), 1, m_};
        Multiply::run(enc, dec_transposed, g_.data(), n_, m_, n_, false, s_.tied);
        if (noisy) Multiply::run({noise_.data(), m_, 1}, dec_transposed, offset_.data(), noise_rows_, m_, n_);
        const bool relu = s_.activation == Activation::relu;
        if (s_.tied && !own_noise) {
            with_flags([this](auto... flags) { symmetric_output_gradient<decltype(flags)::value...>(); }, relu, noisy,
                       s_.bias);
        } else {
            relu ? output_gradient<true>(noisy) : output_gradient<false>(noisy);
            if (s_.tied)
                for (std::ptrdiff_t i = 0; i < n_; ++i)
                    for (std::ptrdiff_t j = 0; j <= i; ++j)
                        sum_[at(i, j)] = sum_[at(j, i)] = d_[at(i, j)] + d_[at(j, i)];
        }
        const StepConstants<T> c = schedule_.next();
        const P* xi = noisy && !own_noise ? noise_.data() : nullptr;
        if (s_.tied && !own_noise && s_.optimizer == Optimizer::sgd && !s_.has_momentum() &&
            s_.l1_update == L1Update::subgradient) {
            with_flags([&](auto... flags) { plain_descent<decltype(flags)::value...>(xi, c); }, xi != nullptr,
                       c.l1 != 0);
        } else {
            const typename Multiply::Operand sum{sum_.data(), n_, 1}, d{d_.data(), n_, 1},
                d_transposed{d_.data(), 1, n_};
            Multiply::run(s_.tied ? sum : d, dec, encoder_.gradient.data(), n_, n_, m_);
            if (!s_.tied) Multiply::run(d_transposed, enc, decoder_.gradient.data(), n_, n_, m_);
            if (own_noise)
                Multiply::run(d_transposed, {noise_.data(), m_, 1}, reader.gradient.data(), n_, n_, m_, true);
            with_update(s_, [&](auto update) {
                using U = decltype(update);
                encoder_.template move<U>(n_, m_, s_.tied ? xi : nullptr, d_sum_.data(), c);
                if (!s_.tied) decoder_.template move<U>(n_, m_, xi, d_sum_.data(), c);
            });
        }
        if (!s_.bias) return;
        with_update(s_, [&](auto update) {
            using U = typename decltype(update)::WithoutL1;
            P none = P::zero();
            for (std::size_t j = 0; j < std::size_t(n_); ++j)
                U::apply(bias_[j], d_sum_[j], U::has_first ? bias_first_[j] : none,
                         U::has_second ? bias_second_[j] : none, c);
        });
    }

  private:
    static std::size_t size(std::int64_t rows, std::int64_t columns) { return std::size_t(rows * columns); }
    std::size_t at(std::ptrdiff_t i, std::ptrdiff_t j) const { return std::size_t(i * n_ + j); }

    struct Side {
        Packs weights, first, second, gradient;

        Side() = default;
        explicit Side(const Settings& s)
            : weights(size(s.n_features, s.n_hidden)), gradient(size(s.n_features, s.n_hidden)) {
            if (s.is_adam() || s.has_momentum()) first = Packs(weights.size());
            if (s.is_adam()) second = Packs(weights.size());
        }
        void forget() {
            weights.clear();
            first.clear();
            second.clear();
        }
        template <class U>
        void move(std::ptrdiff_t n, std::ptrdiff_t m, const P* xi, const P* d_sum, const StepConstants<T>& c) {
            std::size_t e = 0;
            P none = P::zero();
            for (std::ptrdiff_t i = 0; i < n; ++i)
                for (std::ptrdiff_t k = 0; k < m; ++k, ++e) {
                    const P g = xi ? simd::fma(d_sum[i], xi[k], gradient[e]) : gradient[e];
                    U::apply(weights[e], g, U::has_first ? first[e] : none, U::has_second ? second[e] : none, c);
                }
        }
    };

    // Calls body with each flag as a compile-time constant.
    template <class Body, class... Known>
    static void with_flags(Body body, Known... known) {
        if constexpr ((std::is_same_v<Known, bool> || ...)) fix_first(body, known...);
        else body(known...);
    }
    template <class Body, class... Rest>
    static void fix_first(Body body, bool flag, Rest... rest) {
        flag ? with_flags(body, rest..., std::true_type{}) : with_flags(body, rest..., std::false_type{});
    }

    // The common small study: the gradient never leaves the registers, new weights go beside the old.
    template <bool noisy, bool with_l1>
    void plain_descent(const P* xi, const StepConstants<T>& c) {
        const P* old = encoder_.weights.data();
        P* fresh = encoder_.gradient.data();
        const P* u = d_sum_.data();
        const std::ptrdiff_t m = m_;
        const auto move = [=](std::ptrdiff_t i, std::ptrdiff_t k, P g) __attribute__((always_inline)) {
            P none = P::zero(), w = old[i * m + k];
            if (noisy) g = simd::fma(u[i], xi[k], g);
            Update<Rule::sgd, false, with_l1>::apply(w, g, none, none, c);
            fresh[i * m + k] = w;
        };
        Multiply::run({sum_.data(), n_, 1}, {old, m, 1}, n_, n_, m, false, typename Multiply::FromZero{}, move);
        std::swap(encoder_.weights, encoder_.gradient);
    }

    // Tied, one noise for all inputs: D_ij + D_ji in one pass over the lower half of G, and the column sums of D, rows
    // ascending.
    template <bool relu, bool noisy, bool biased>
    void symmetric_output_gradient() {
        const P zero = P::zero();
        const P *g = g_.data(), *offset = offset_.data(), *bias = bias_.data();
        const T* factor = factor_.data();
        P *sum = sum_.data(), *d_sum = d_sum_.data();
        const std::ptrdiff_t n = n_;
        const auto slope = [=](P p, std::ptrdiff_t j, P target) __attribute__((always_inline)) {
            if (noisy) p = p + offset[j];
            if (biased) p = p + bias[j];
            const P error = (p - target) * P::all(factor[j]);
            return relu ? simd::select<T>(p > zero, error, zero) : error;
        };
        for (std::ptrdiff_t i = 0; i < n; ++i) {
            P total = zero;
            for (std::ptrdiff_t j = 0; j < i; ++j) {
                const P here = slope(g[i * n + j], j, zero), there = slope(g[i * n + j], i, zero);  // D_ij and D_ji
                d_sum[j] = d_sum[j] + here;
                total = total + there;
                sum[i * n + j] = sum[j * n + i] = here + there;
            }
            const P own = slope(g[i * n + i], i, P::all(1));
            d_sum[i] = total + own;
            sum[i * n + i] = own + own;
        }
    }

    // D on the basis batch, and its column sums.
    template <bool relu>
    void output_gradient(bool noisy) {
        const P zero = P::zero();
        for (std::ptrdiff_t j = 0; j < n_; ++j) {
            const P factor = P::all(factor_[std::size_t(j)]);
            const P* shift = noisy ? offset_.data() + j : nullptr;
            const std::ptrdiff_t next_shift = noise_rows_ == 1 ? 0 : n_;
            const P bias = s_.bias ? bias_[std::size_t(j)] : zero;
            P total = zero;
            for (std::ptrdiff_t b = 0; b < n_; ++b) {
                P p = g_[s_.tied && b < j ? at(j, b) : at(b, j)];  // a tied G is filled below its diagonal only
                if (shift) p = p + shift[b * next_shift];
                if (s_.bias) p = p + bias;
                P error = (b == j ? p - P::all(1) : p) * factor;
                if (relu) error = simd::select<T>(p > zero, error, zero);
                d_[at(b, j)] = error;
                total = total + error;
            }
            d_sum_[std::size_t(j)] = total;
        }
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
