// The fused panel kernel. Weights and moments are stored in panels of neurons with 128 bytes per row, so that a panel
// (n rows) stays in the L1 cache while a step passes over it:
//
//     for each panel:   gradient = S W_panel              S = A + A^T, n x n, from the last pass
//                       W_panel <- optimiser              while the gradient's tile is still in the L1 cache
//     for some of them:     next G += W_panels W_panels^T     from their transpose; next c += W_panels xi_panels
//
// Panels are processed in order, so each entry of G remains one chain over ascending neurons.
#pragma once

#include "fastpolysem/linalg/tile.hpp"
#include "fastpolysem/linalg/transpose.hpp"
#include "fastpolysem/models/autoencoder/kernels/table.hpp"
#include "fastpolysem/optimizers/update.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class DenseKernel {
    using P = simd::Pack<T>;
    static constexpr std::ptrdiff_t width = 128 / std::ptrdiff_t(sizeof(T));  // neurons in a panel
    static constexpr std::ptrdiff_t piece = Tile<T>::columns;                 // ... of which a tile covers this many
    // Several panels are added to G at once, so that its tiles are loaded less often, in blocks with few enough rows to
    // end close to the diagonal.
    static constexpr std::ptrdiff_t together = 4, square_rows = std::min<std::ptrdiff_t>(8, Tile<T>::rows);
    static_assert(width % piece == 0);

  public:
    using Model = autoencoder::Model<T>;
    using Entry = T;
    static constexpr const char* name = "dense";
    static constexpr bool looks_ahead = true;
    static constexpr int steps_between_checks = 1;

    static std::string refusal(const Settings& s) {
        if (std::string reason = refusal_in_gram_space(s); !reason.empty()) return reason;
        if (s.noise_sharing == Sharing::input)
            return "noise_sharing='input' gives each input its own noise; use 'generic'";
        return "";
    }
    static bool suits(const Settings&, std::int64_t) { return true; }
    static double bytes(const Settings& s) {
        const std::ptrdiff_t n = s.n_features, padded = Matrix<T>::padded(n), panels = (s.n_hidden + width - 1) / width;
        const double side = (1 + s.has_first() + s.has_second()) * Matrix<T>::bytes(panels * padded, width) +
                            Matrix<T>::bytes(padded, width) + Matrix<T>::bytes(together * width, n);
        return (s.tied ? 1 : 2) * side + OutputGradient<T>::bytes(s, false) + 2 * Matrix<T>::bytes(n, n) +
               (s.bias ? 4 : 1) * Matrix<T>::bytes(1, n) + Matrix<T>::bytes(Tile<T>::rows, width);
    }

    DenseKernel(const Settings& s, const GradientPass<T>&)
        : s_(s),
          n_(s.n_features),
          padded_(Matrix<T>::padded(n_)),
          panels_((s.n_hidden + width - 1) / width),
          symmetric_(s.tied && !s.bias && s.importance.empty()),
          counter_(s),
          output_(s),
          encoder_(*this),
          g_(n_, n_),
          c_(1, n_),
          sum_(n_, n_),
          tile_(Tile<T>::rows, width),
          tiles_(n_, Tile<T>::rows) {
        if (!s.tied) decoder_ = Side(*this);
        if (s.bias) bias_ = Matrix<T>(1, n_), bias_first_ = Matrix<T>(1, n_), bias_second_ = Matrix<T>(1, n_);
    }

    void set(int, const Parameters<T>& weights) {
        encoder_.set(*this, weights.encoder);
        if (!s_.tied) decoder_.set(*this, weights.decoder);
        bias_.buffer.copy_from(weights.bias.buffer);
    }

    // The first G, and c.
    void begin(const StepData<T>& first, StopToken& stop) {
        counter_.restart();
        encoder_.forget();
        decoder_.forget();
        bias_first_.clear();
        bias_second_.clear();
        sum_up(first.noise, stop);
    }

    void read(int, Parameters<T>& weights) const {
        encoder_.read(*this, weights.encoder);
        if (!s_.tied) decoder_.read(*this, weights.decoder);
        weights.bias.buffer.copy_from(bias_.buffer);
    }

    void step(const StepData<T>& step, StopToken& stop) {
        prepare(step, stop);
        const StepConstants<T> c = counter_.next(s_.weight_l1(step.l1), step.learning_rate);
        with_update(s_, [&](auto update) {
            using U = decltype(update);
            step_bias<U>(c);
            for (std::ptrdiff_t p = 0; p < panels_ && !stop.stopped(); ++p) {
                const T* xi = step.noise ? step.noise->row(0) + p * width : nullptr;
                if (s_.tied) {
                    advance<U>(encoder_, p, sum_, encoder_, xi, c);
                } else {
                    advance<U>(encoder_, p, sum_, decoder_, nullptr, c);
                    advance<U>(decoder_, p, output_.a, encoder_, xi, c);
                }
                absorb(p, step.next_noise);
            }
        });
        if (s_.tied) mirror_lower(g_);
    }

    std::int64_t nonzeros() const {
        std::int64_t count = 0;
        for (const Side* side : {&encoder_, &decoder_})
            for (std::size_t e = 0; e < side->weights.buffer.size(); ++e) count += side->weights.buffer[e] != 0;
        return count;
    }

  private:
    template <class>
    friend class SparseKernel;

    // G, and c, of the present weights.
    void sum_up(const Matrix<T>* noise, StopToken& stop) {
        for (std::ptrdiff_t p = 0; p < panels_ && !stop.stopped(); ++p) {
            encoder_.fresh.buffer.copy(encoder_.weights.row(p * padded_), std::size_t(padded_ * width));
            if (!s_.tied) decoder_.fresh.buffer.copy(decoder_.weights.row(p * padded_), std::size_t(padded_ * width));
            absorb(p, noise);
        }
        if (s_.tied) mirror_lower(g_);
    }

    // The part of a step without neurons: from G to S.
    void prepare(const StepData<T>& step, StopToken& stop) {
        if (symmetric_ && !step.batch && !step.noise) return output_.symmetric_sum(g_, sum_);
        output_(g_, step.batch, step.noise ? &c_ : nullptr, s_.bias ? &bias_ : nullptr, stop, false, false);
        if (s_.tied) add_transpose(output_.a, sum_);
        else transpose(output_.a, sum_.row(0), sum_.stride);
    }

    template <class U>
    void step_bias(const StepConstants<T>& c) {
        if (s_.bias) update_matrix<typename U::WithoutL1>(bias_, output_.d_sum, bias_first_, bias_second_, c);
    }

    // One weight matrix: panel after panel, each `padded_` rows of `width`.
    struct Side {
        Matrix<T> weights, first, second;
        Matrix<T> fresh;       // the current panel after its update
        Matrix<T> transposed;  // ... and its transpose, below those of the panels before it

        Side() = default;
        explicit Side(const DenseKernel& k)
            : weights(k.panels_ * k.padded_, width), fresh(k.padded_, width), transposed(together * width, k.n_) {
            if (k.s_.has_first()) first = Matrix<T>(k.panels_ * k.padded_, width);
            if (k.s_.has_second()) second = Matrix<T>(k.panels_ * k.padded_, width);
        }
        void forget() {
            first.clear();
            second.clear();
        }
        void set(const DenseKernel& k, const Matrix<T>& from) {
            weights.clear();
            k.each_row([&](std::ptrdiff_t i, std::ptrdiff_t p, std::ptrdiff_t count) {
                std::copy_n(from.row(i) + p * width, count, weights.row(p * k.padded_ + i));
            });
        }
        void read(const DenseKernel& k, Matrix<T>& to) const {
            k.each_row([&](std::ptrdiff_t i, std::ptrdiff_t p, std::ptrdiff_t count) {
                std::copy_n(weights.row(p * k.padded_ + i), count, to.row(i) + p * width);
            });
        }
    };

    template <class Body>
    void each_row(Body body) const {
        for (std::ptrdiff_t p = 0; p < panels_; ++p)
            for (std::ptrdiff_t i = 0; i < n_; ++i)
                body(i, p, std::min<std::ptrdiff_t>(width, s_.n_hidden - p * width));
    }

    // fresh = the panel after one step; its gradient is sum_j x[j][i] other[j] (+ (D^T 1)_i xi).
    template <class U>
    void advance(Side& side, std::ptrdiff_t p, const Matrix<T>& x, const Side& other, const T* xi,
                 const StepConstants<T>& c) {
        const T* y = other.weights.row(p * padded_);
        for (std::ptrdiff_t t = 0; t < tiles_.pieces; ++t) {
            const std::ptrdiff_t i0 = tiles_.begin(t), rows = tiles_.begin(t + 1) - i0;
            for (std::ptrdiff_t v = 0; v < width; v += piece)
                Tile<T>::template run<2>(int(rows), x.row(0) + i0, x.stride, y + v, width, n_, tile_.row(0) + v, width,
                                         false);
            for (std::ptrdiff_t r = 0; r < rows; ++r) {
                const std::ptrdiff_t at = p * padded_ + i0 + r;
                const P u = P::all(output_.d_sum.row(0)[i0 + r]);
                for (std::ptrdiff_t v = 0; v < width; v += P::width) {
                    P g = P::load(tile_.row(r) + v), w = P::load(side.weights.row(at) + v), m = P::zero(),
                      second = P::zero();
                    if (xi) g = simd::fma(u, P::load(xi + v), g);
                    if (U::has_first) m = P::load(side.first.row(at) + v);
                    if (U::has_second) second = P::load(side.second.row(at) + v);
                    U::apply(w, g, m, second, c);
                    w.store(side.fresh.row(i0 + r) + v);
                    if (U::has_first) m.store(side.first.row(at) + v);
                    if (U::has_second) second.store(side.second.row(at) + v);
                }
            }
        }
    }

    // Stores the fresh panel; after the last panel of a group, adds the group's contribution to G and c.
    void absorb(std::ptrdiff_t p, const Matrix<T>* noise) {
        place(encoder_, p);
        if (!s_.tied) place(decoder_, p);
        const std::ptrdiff_t begin = p / together * together, depth = (p + 1 - begin) * width;
        if (p + 1 < std::min(begin + together, panels_)) return;
        const Side& reader = s_.tied ? encoder_ : decoder_;
        const bool onto = begin > 0;
        for (std::ptrdiff_t i0 = 0; i0 < n_; i0 += square_rows) {
            const std::ptrdiff_t rows = std::min(square_rows, n_ - i0);
            const std::ptrdiff_t end = s_.tied ? (i0 + rows + P::width - 1) / P::width * P::width : g_.stride;
            const T* x = encoder_.transposed.row(0) + i0;
            std::ptrdiff_t j = 0;
            for (; j + piece <= end; j += piece)
                Tile<T>::template run<2>(int(rows), x, padded_, reader.transposed.row(0) + j, padded_, depth,
                                         g_.row(i0) + j, g_.stride, onto);
            if (j < end)
                Tile<T>::template run<1>(int(rows), x, padded_, reader.transposed.row(0) + j, padded_, depth,
                                         g_.row(i0) + j, g_.stride, onto);
        }
        if (!noise) return;
        if (!onto) c_.clear();
        for (std::ptrdiff_t k = 0; k < depth; ++k)
            add_scaled(P::all(noise->row(0)[begin * width + k]), reader.transposed.row(k), c_.row(0), c_.stride);
    }

    void place(Side& side, std::ptrdiff_t p) {
        transpose(side.fresh, side.transposed.row(p % together * width), side.transposed.stride);
        std::copy_n(side.fresh.row(0), padded_ * width, side.weights.row(p * padded_));
    }

    const Settings& s_;
    std::ptrdiff_t n_, padded_, panels_;
    bool symmetric_;  // whether A is symmetric, in steps without batch and noise
    StepCounter<T> counter_;
    OutputGradient<T> output_;
    Side encoder_, decoder_;
    Matrix<T> bias_, bias_first_, bias_second_;
    Matrix<T> g_, c_;
    Matrix<T> sum_;   // tied: A + A^T; untied: A^T
    Matrix<T> tile_;  // gradient of the current rows
    EvenPieces tiles_;
};

// Compiled once, in dense.cpp.
extern template class DenseKernel<float>;
extern template class DenseKernel<double>;

}  // namespace fastpolysem::autoencoder
