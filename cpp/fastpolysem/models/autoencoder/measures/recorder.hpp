// Measures a model: before the first step, at recorded steps, and after the last. The driver owns the weights.
#pragma once

#include <limits>

#include "fastpolysem/models/autoencoder/measures/outcome.hpp"
#include "fastpolysem/models/autoencoder/passes/gradient_pass.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class Recorder {
  public:
    Recorder(const Settings& s, const std::vector<Metric>& metrics, StopToken& stop)
        : s_(s), metrics_(metrics), stop_(stop), pass_(s) {}
    static double bytes(const Settings& s) { return GradientPass<T>::bytes(s); }

    GradientPass<T>& workspace() { return pass_; }
    void look_at(std::uint64_t) {}  // measurements do not depend on the seed

    // Certificates are checked at every 64th step, in all kernels alike, once l1 no longer changes.
    bool looks_for_certainty(std::int64_t step) const {
        return s_.stop == Stop::certified && step % 64 == 0 && step >= s_.l1_schedule.constant_from();
    }
    bool is_certain(const Parameters<T>& w) const { return certified(seen(w), s_.low); }

    // One value per metric; counts and the residual of weights that are not finite are NaN. step: the data of the next
    // step; last: there is no next step and therefore no objective.
    void record(const Parameters<T>& w, const StepData<T>& step, bool last, double* values) {
        constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
        const Norms n = norms(seen(w));
        const bool finite = n.finite && bias_finite(w);
        Counts c;
        for (const Metric metric : metrics_)
            if (metric >= Metric::polysemantic && metric <= Metric::unrepresented) {
                c = count(seen(w), s_.low, s_.high);
                break;
            }
        for (std::size_t i = 0; i < metrics_.size(); ++i) {
            if (metrics_[i] == Metric::objective) values[i] = last ? nan : objective(w, n.l1, step);
            else if (metrics_[i] == Metric::loss) values[i] = clean_loss(w);
            else if (metrics_[i] == Metric::residual) values[i] = finite ? residual(w) : nan;
            else if (metrics_[i] <= Metric::unrepresented) values[i] = finite ? counted(metrics_[i], c, n) : nan;
            else values[i] = counted(metrics_[i], c, n);
        }
    }

    Outcome finish(const Parameters<T>& w) {
        Outcome o;
        const Norms n = norms(seen(w));
        // On the basis batch a single pass gives both the loss and the gradient for the residual.
        const bool together = !s_.fixed_batch;
        o.loss = together ? pass_(w, residual_step(), stop_, Want::both) : clean_loss(w);
        o.nonzeros = n.nonzeros;
        o.diverged = !n.finite || !std::isfinite(o.loss) || !bias_finite(w);
        if (o.diverged) {
            training::mark_diverged(columns(), o);
            return o;
        }
        static_cast<Counts&>(o) = count(seen(w), s_.low, s_.high);
        o.residual = together ? largest_gradient(w) : residual(w);
        return o;
    }

  private:
    static WeightView<T> seen(const Parameters<T>& w) {
        return {w.encoder.row(0), w.decoder.empty() ? nullptr : w.decoder.row(0), w.encoder.rows, w.encoder.columns,
                w.encoder.stride};
    }

    static double counted(Metric metric, const Counts& c, const Norms& n) {
        switch (metric) {
            case Metric::polysemantic:
                return double(c.polysemantic);
            case Metric::benign:
                return double(c.benign);
            case Metric::malign:
                return double(c.malign);
            case Metric::signed_slots:
                return double(c.signed_slots);
            case Metric::signed_slots_benign:
                return double(c.signed_slots_benign);
            case Metric::dead:
                return double(c.dead);
            case Metric::unrepresented:
                return double(c.unrepresented);
            case Metric::nonzeros:
                return double(n.nonzeros);
            case Metric::l1_norm:
                return n.l1;
            case Metric::fourth_norm:
                return n.fourth;
            default:
                return std::numeric_limits<double>::quiet_NaN();
        }
    }

    // The objective of the next step.
    double objective(const Parameters<T>& w, double weight_l1, const StepData<T>& step) {
        double sum = pass_(w, step, stop_, Want::loss);
        if (step.l1 != 0)
            sum += s_.l1_target == L1Target::weights
                       ? step.l1 * weight_l1
                       : pass_.penalties.activation_l1(w.encoder, step.batch, step.l1, stop_, nullptr);
        if (s_.repulsion != 0) sum += pass_.penalties.repulsion(w);
        return sum;
    }

    double clean_loss(const Parameters<T>& w) { return pass_(w, {}, stop_, Want::loss); }

    double residual(const Parameters<T>& w) {
        pass_(w, residual_step(), stop_);
        return largest_gradient(w);
    }

    // The residual refers to the objective without noise and dropout, on the basis batch or a fixed one, with the final
    // l1.
    StepData<T> residual_step() const {
        StepData<T> step;
        step.batch = s_.fixed_batch.get();
        step.l1 = s_.final_l1();
        return step;
    }

    // Over the non-zero weights, after a pass.
    double largest_gradient(const Parameters<T>& w) {
        const T l1 = T(s_.weight_l1(s_.final_l1()));
        double largest = 0;
        const auto scan = [&](const Matrix<T>& weights, const Matrix<T>& gradient) {
            for (std::ptrdiff_t i = 0; i < weights.rows; ++i)
                for (std::ptrdiff_t k = 0; k < weights.columns; ++k) {
                    const T x = weights.row(i)[k];
                    if (x != 0) largest = std::max(largest, std::abs(double(gradient.row(i)[k] + (x > 0 ? l1 : -l1))));
                }
        };
        scan(w.encoder, pass_.gradient().encoder);
        if (!s_.tied) scan(w.decoder, pass_.gradient().decoder);
        return largest;
    }

    static bool bias_finite(const Parameters<T>& w) {
        for (std::ptrdiff_t j = 0; j < w.bias.columns; ++j)
            if (!std::isfinite(w.bias.row(0)[j])) return false;
        return true;
    }

    const Settings& s_;
    const std::vector<Metric>& metrics_;
    StopToken& stop_;
    GradientPass<T> pass_;
};

// Compiled once, in recorder.cpp.
extern template class Recorder<float>;
extern template class Recorder<double>;

}  // namespace fastpolysem::autoencoder
