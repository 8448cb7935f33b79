// The gradient of the smooth part of the objective (and of l1 on activations) for one model, one step: in Gram space,
// or with dropout in the hidden space.
#pragma once

#include "fastpolysem/models/autoencoder/passes/gram_pass.hpp"
#include "fastpolysem/models/autoencoder/passes/hidden_pass.hpp"
#include "fastpolysem/models/autoencoder/passes/penalties.hpp"

namespace fastpolysem::autoencoder {

template <class T>
class GradientPass {
  public:
    explicit GradientPass(const Settings& s)
        : penalties(s), s_(s), work_(s), in_gram_space_(s, work_), in_hidden_space_(s, work_) {}
    static double bytes(const Settings& s) {
        return Workspace<T>::bytes(s) + GramPass<T>::bytes(s) + HiddenPass<T>::bytes(s) + Penalties<T>::bytes(s);
    }

    // Returns the squared error if requested.
    double operator()(const Parameters<T>& w, const StepData<T>& step, StopToken& stop, Want want = Want::gradient) {
        const double loss = step.dropout ? in_hidden_space_(w, step, stop, want) : in_gram_space_(w, step, stop, want);
        if (want == Want::loss) return loss;
        Parameters<T>& g = work_.gradient;
        if (!w.bias.empty()) std::copy_n(work_.output.d_sum.row(0), work_.output.d_sum.stride, g.bias.row(0));
        if (step.l1 != 0 && s_.l1_target == L1Target::activations)
            penalties.activation_l1(w.encoder, step.batch, step.l1, stop, &g.encoder);
        if (s_.repulsion != 0) {
            penalties.add_repulsion(w.encoder, g.encoder);
            if (!s_.tied) penalties.add_repulsion(w.decoder, g.decoder);
        }
        return loss;
    }
    // Of the last call that requested it.
    Parameters<T>& gradient() { return work_.gradient; }

    Penalties<T> penalties;

  private:
    const Settings& s_;
    Workspace<T> work_;
    GramPass<T> in_gram_space_;
    HiddenPass<T> in_hidden_space_;
};

// All of them are compiled once, in gradient_pass.cpp.
extern template class OutputGradient<float>;
extern template class OutputGradient<double>;
extern template class GramPass<float>;
extern template class GramPass<double>;
extern template class HiddenPass<float>;
extern template class HiddenPass<double>;
extern template class Penalties<float>;
extern template class Penalties<double>;
extern template class GradientPass<float>;
extern template class GradientPass<double>;

}  // namespace fastpolysem::autoencoder
