// Orthant-wise l1 makes weights exactly zero, and skipping an exact zero does not change a chain, so the cost can be
// proportional to the number of non-zeros.
//
// A run begins in the dense kernel. Once few enough weights are left, they are stored neuron by neuron (n entries each,
// zeros included), and a step is, for each neuron k that has a non-zero:
//
//     gradient column = sum over its non-zeros j of S[j] w_jk     vectors over features; S = A + A^T is symmetric
//     optimiser where a weight is non-zero or |gradient| > l1     the others stay exactly as they are
//     next G += w_k w_k^T                                         over the non-zeros only
//
// A neuron without non-zeros has gradient zero (with noise: u_i xi_k, whose largest entry is compared with l1) and is
// skipped. Once few pairs of features share a neuron, G and S are updated at those pairs only.
//
// Skipping zeros changes chains of numbers that are not finite, as 0 times infinity is NaN. A seed that overflows goes
// back to the dense kernel.
#pragma once

#include "fastpolysem/linalg/finite.hpp"
#include "fastpolysem/models/autoencoder/kernels/dense.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class SparseKernel {
    using P = simd::Pack<T>;
    using Index = typename P::Bits;              // as wide as T: vectors of weights match vectors of features
    static constexpr int chunk = 8;              // vectors of a row of S or of G held in registers
    static constexpr std::ptrdiff_t group = 32;  // neurons whose contributions to G are added together
    static constexpr double switch_at = 0.5;     // share of non-zeros below which this beats the dense kernel
    static constexpr T huge = T(1e30);           // far from overflow

  public:
    using Model = autoencoder::Model<T>;
    using Entry = T;
    static constexpr const char* name = "sparse";
    static constexpr bool looks_ahead = true;
    static constexpr int steps_between_checks = 1;

    static std::string refusal(const Settings& s) {
        if (s.l1_update != L1Update::orthant) return "only l1_update='orthant' makes weights exactly zero; use 'dense'";
        if (!s.tied) return "it is for tied models; use 'dense'";
        return DenseKernel<T>::refusal(s);
    }
    static bool suits(const Settings&, std::int64_t) { return true; }
    static double bytes(const Settings& s) {
        const double n = double(s.n_features), m = double(s.n_hidden);
        const double room = double(Matrix<T>::padded(s.n_features) + P::width);
        const double listed = n * n / 16;  // maximum number of entries of G and S, in vectors that grow by doubling
        return DenseKernel<T>::bytes(s) +
               (1 + s.has_first() + s.has_second()) * Matrix<T>::bytes(s.n_hidden, s.n_features) +
               Matrix<T>::bytes(1, s.n_features) + m * room * (sizeof(Index) + sizeof(T)) + 4 * (m + n) +
               2 * 2 * listed * sizeof(std::pair<Index, Index>);
    }

    SparseKernel(const Settings& s, const GradientPass<T>& pass)
        : s_(s),
          n_(s.n_features),
          m_(s.n_hidden),
          padded_(Matrix<T>::padded(n_)),
          dense_(s, pass),
          weights_(m_, n_),
          gradient_(1, n_),
          row_neurons_(std::size_t(n_)),
          room_(padded_ + P::width),
          index_(std::size_t(m_ * room_)),
          value_(std::size_t(m_ * room_)),
          count_(std::size_t(m_)) {
        if (s.has_first()) first_ = Matrix<T>(m_, n_);
        if (s.has_second()) second_ = Matrix<T>(m_, n_);
    }

    void set(int lane, const Parameters<T>& weights) {
        dense_.set(lane, weights);
        sparse_ = false;
        overflows_ = false;
    }

    void begin(const StepData<T>& first, StopToken& stop) {
        dense_.begin(first, stop);
        g_is_listed_ = sum_is_listed_ = false;
        age_ = 0;
    }

    void read(int lane, Parameters<T>& weights) const {
        if (!sparse_) return dense_.read(lane, weights);
        for (std::ptrdiff_t i = 0; i < n_; ++i)
            for (std::ptrdiff_t k = 0; k < m_; ++k) weights.encoder.row(i)[k] = weights_.row(k)[i];
        weights.bias.buffer.copy_from(dense_.bias_.buffer);
    }

    void step(const StepData<T>& step, StopToken& stop) {
        if (!sparse_ && !overflows_ && age_++ % 8 == 0 && double(dense_.nonzeros()) < switch_at * double(n_ * m_))
            take_over();
        if (!sparse_) return dense_.step(step, stop);
        const Matrix<T>* noise = step.noise;
        prepare(step, stop);
        if (overflows(step)) {
            give_back(step, stop);
            return dense_.step(step, stop);
        }
        const StepConstants<T> c = dense_.counter_.next(s_.weight_l1(step.l1), step.learning_rate);
        with_update(s_, [&](auto update) {
            using U = decltype(update);
            dense_.template step_bias<U>(c);
            clear_g(step);
            const T widest = noise ? largest(dense_.output_.d_sum.row(0)) : T(0);
            for (std::ptrdiff_t k0 = 0; k0 < m_; k0 += group) {
                if (stop.stopped()) return;
                const std::ptrdiff_t end = std::min(m_, k0 + group);
                for (std::ptrdiff_t k = k0; k < end; ++k) {
                    const T* xi = noise ? noise->row(0) + k : nullptr;
                    const bool idle = count_[std::size_t(k)] == 0 && !(xi && std::abs(widest * *xi) > c.l1);
                    if (!idle) advance<U>(k, xi, c);
                }
                absorb(k0, end, step.next_noise);
            }
        });
        if (below_only_) mirror_lower(dense_.g_);
    }

  private:
    // From G to S.
    void prepare(const StepData<T>& step, StopToken& stop) {
        if (!g_is_listed_) {
            sum_is_listed_ = false;
            return dense_.prepare(step, stop);
        }
        Matrix<T>&g = dense_.g_, &sum = dense_.sum_;
        if (sum_is_listed_)
            for (const auto& [i, j] : sum_entries_) sum.row(i)[j] = 0;
        else sum.clear();
        for (const auto& [i, j] : g_entries_) sum.row(i)[j] = dense_.output_.symmetric_entry(g.row(i)[j], i == j);
        sum_entries_ = g_entries_;
        sum_is_listed_ = true;
    }

    // Clears G before neurons are added again. Lists the entries that will be non-zero if they are few and if zeros of
    // G imply zeros of S.
    void clear_g(const StepData<T>& step) {
        if (g_is_listed_)
            for (const auto& [i, j] : g_entries_) dense_.g_.row(i)[j] = 0;
        else dense_.g_.clear();
        dense_.c_.clear();
        below_only_ = false;
        g_entries_.clear();
        std::int64_t pairs = 0;
        for (const int count : count_) pairs += std::int64_t(count) * count;
        g_is_listed_ = dense_.symmetric_ && !step.batch && !step.noise && s_.activation == Activation::relu &&
                       pairs < n_ * n_ / 16;
    }

    // Whether skipping zeros could matter: for G, if a weight is not finite (then G_ii is not either), for the gradient
    // if S is not. Without batch and noise, no |S_ij| exceeds 4 |G_ij| + 4 or, thus, 5 huge.
    bool overflows(const StepData<T>& step) const {
        for (std::ptrdiff_t i = 0; i < n_; ++i)
            if (!(dense_.g_.row(i)[i] <= huge)) return true;
        if (dense_.symmetric_ && !step.batch && !step.noise) return false;
        return !is_finite(dense_.sum_) || (step.noise && !is_finite(dense_.output_.d_sum));
    }

    // Weights and moments in the dense kernel's panels of 128 bytes, and here in one row of n features per neuron.
    template <class Move>
    void each_weight(Move move) {
        const auto both = [&](Matrix<T>& panels, Matrix<T>& rows) {
            if (rows.empty()) return;
            dense_.each_row([&](std::ptrdiff_t i, std::ptrdiff_t p, std::ptrdiff_t count) {
                T* row = panels.row(p * padded_ + i);
                for (std::ptrdiff_t k = 0; k < count; ++k) move(row[k], rows.row(p * dense_.width + k)[i]);
            });
        };
        both(dense_.encoder_.weights, weights_);
        both(dense_.encoder_.first, first_);
        both(dense_.encoder_.second, second_);
    }

    void give_back(const StepData<T>& step, StopToken& stop) {
        sparse_ = false;
        overflows_ = true;
        each_weight([](T& panel, T& row) { panel = row; });
        dense_.sum_up(step.noise, stop);
    }

    void take_over() {
        sparse_ = true;
        each_weight([](T& panel, T& row) { row = panel; });
        for (std::ptrdiff_t k = 0; k < m_; ++k) {
            count_[std::size_t(k)] = 0;
            for (std::ptrdiff_t i = 0; i < padded_; i += P::width) list(k, i, P::load(weights_.row(k) + i));
        }
    }

    // Appends the non-zeros among weights i ... of neuron k to its list.
    FASTPOLYSEM_INLINE void list(std::ptrdiff_t k, std::ptrdiff_t i, P weights) {
        const unsigned bits = simd::lanes_set<T>(weights != P::zero());
        int& count = count_[std::size_t(k)];
        const auto at = std::size_t(k * room_ + count);
        simd::compress(bits, simd::Pack<Index>::iota() + simd::Pack<Index>::all(Index(i)), index_.data() + at);
        count += simd::compress(bits, weights, value_.data() + at);
    }

    template <class U>
    void advance(std::ptrdiff_t k, const T* xi, const StepConstants<T>& c) {
        T* g = gradient_.row(0);
        for (std::ptrdiff_t i = 0; i < padded_; i += chunk * P::width) {
            const auto vectors = std::min<std::ptrdiff_t>(chunk, (padded_ - i) / P::width);
            add_rows<chunk>(int(vectors), k, i, g + i);
        }
        T *w = weights_.row(k), *first = first_.empty() ? nullptr : first_.row(k),
          *second = second_.empty() ? nullptr : second_.row(k);
        const P l1 = P::all(c.l1);
        count_[std::size_t(k)] = 0;
        for (std::ptrdiff_t i = 0; i < padded_; i += P::width) {
            P slope = P::load(g + i), weight = P::load(w + i);
            if (xi) slope = simd::fma(P::load(dense_.output_.d_sum.row(0) + i), P::all(*xi), slope);
            if (!simd::lanes_set<T>((weight != P::zero()) | (simd::abs(slope) > l1))) continue;
            P m = P::zero(), v = P::zero();
            if (U::has_first) m = P::load(first + i);
            if (U::has_second) v = P::load(second + i);
            U::apply(weight, slope, m, v, c);
            weight.store(w + i);
            if (U::has_first) m.store(first + i);
            if (U::has_second) v.store(second + i);
            list(k, i, weight);
        }
    }

    // to = sum over neuron k's non-zeros j of S[j][i ...] w_jk, for V vectors.
    template <int V>
    void add_rows(int vectors, std::ptrdiff_t k, std::ptrdiff_t i, T* to) const {
        if constexpr (V > 1)
            if (vectors < V) return add_rows<V - 1>(vectors, k, i, to);
        P sum[V];
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[v] = P::zero();
        const T* base = dense_.sum_.row(0) + i;
        const Index* index = index_.data() + k * room_;
        const T* value = value_.data() + k * room_;
        for (int e = 0; e < count_[std::size_t(k)]; ++e) {
            const T* row = base + index[e] * dense_.sum_.stride;
            const P x = P::all(value[e]);
#pragma GCC unroll 16
            for (int v = 0; v < V; ++v) sum[v] = simd::fma(x, P::load(row + v * P::width), sum[v]);
        }
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[v].store(to + v * P::width);
    }

    // Adds neurons k0 .. end-1 to G and c: pair by pair, or in whole rows of G where there are many non-zeros.
    void absorb(std::ptrdiff_t k0, std::ptrdiff_t end, const Matrix<T>* noise) {
        Matrix<T>& g = dense_.g_;
        std::int64_t entries = 0, pairs = 0;
        for (std::ptrdiff_t k = k0; k < end; ++k) {
            const std::int64_t count = count_[std::size_t(k)];
            entries += count;
            pairs += count * count;
        }
        const bool by_rows = !g_is_listed_ && pairs > entries * padded_ / (2 * P::width) + 4 * n_;
        if (by_rows) std::fill(row_neurons_.begin(), row_neurons_.end(), 0u);
        for (std::ptrdiff_t k = k0; k < end; ++k) {
            const Index* index = index_.data() + k * room_;
            const T* value = value_.data() + k * room_;
            const int count = count_[std::size_t(k)];
            for (int e = 0; e < count; ++e) {
                if (noise)
                    dense_.c_.row(0)[index[e]] = std::fma(value[e], noise->row(0)[k], dense_.c_.row(0)[index[e]]);
                if (by_rows) row_neurons_[std::size_t(index[e])] |= 1u << (k - k0);
                else
                    for (int f = 0; f < count; ++f) {
                        T& entry = g.row(index[e])[index[f]];
                        entry = std::fma(value[e], value[f], entry);
                        if (g_is_listed_) g_entries_.emplace_back(index[e], index[f]);
                    }
            }
        }
        if (!by_rows) return;
        below_only_ = true;
        for (std::ptrdiff_t j = 0; j < padded_;
             j += chunk * P::width)  // the group's weights for a chunk fit into the L1 cache
            for (std::ptrdiff_t i = j; i < n_; ++i) {
                const auto vectors = std::min<std::ptrdiff_t>(chunk, (i - j) / P::width + 1);  // up to the diagonal
                if (row_neurons_[std::size_t(i)]) add_neurons<chunk>(int(vectors), k0, i, j);
            }
    }

    // Adds w_ik w_k to row i of G, from column j on, for the group's neurons k that have feature i.
    template <int V>
    void add_neurons(int vectors, std::ptrdiff_t k0, std::ptrdiff_t i, std::ptrdiff_t j) {
        if constexpr (V > 1)
            if (vectors < V) return add_neurons<V - 1>(vectors, k0, i, j);
        T* to = dense_.g_.row(i) + j;
        P sum[V];
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[v] = P::load(to + v * P::width);
        for (unsigned bits = row_neurons_[std::size_t(i)]; bits; bits &= bits - 1) {
            const T* w = weights_.row(k0 + __builtin_ctz(bits));
            const P x = P::all(w[i]);
#pragma GCC unroll 16
            for (int v = 0; v < V; ++v) sum[v] = simd::fma(x, P::load(w + j + v * P::width), sum[v]);
        }
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[v].store(to + v * P::width);
    }

    T largest(const T* u) const {
        T most = 0;
        for (std::ptrdiff_t i = 0; i < n_; ++i) most = std::max(most, std::abs(u[i]));
        return most;
    }

    const Settings& s_;
    std::ptrdiff_t n_, m_, padded_;
    DenseKernel<T> dense_;                    // the first steps; afterwards its G, c, bias and schedule
    Matrix<T> weights_, first_, second_;      // one row per neuron
    Matrix<T> gradient_;                      // of the current neuron
    std::vector<std::uint32_t> row_neurons_;  // for each feature, the neurons of the group that have it
    std::ptrdiff_t room_;                     // entries of index_ and value_ reserved per neuron
    Buffer<Index> index_;                     // each neuron's non-zeros: features, ascending
    Buffer<T> value_;                         // ... and weights
    std::vector<int> count_;                  // ... and how many
    bool g_is_listed_ = false, sum_is_listed_ = false;
    std::vector<std::pair<Index, Index>> g_entries_, sum_entries_;  // where G and S may be non-zero, if that is listed
    bool sparse_ = false, overflows_ = false, below_only_ = false;
    std::int64_t age_ = 0;
};

}  // namespace fastpolysem::autoencoder
