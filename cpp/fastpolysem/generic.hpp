// The plain kernel: every option, one product after the other. The reference that the others must equal bit for bit.
#pragma once

#include "gram.hpp"
#include "optimizer.hpp"

namespace fastpolysem {

template <class T>
class GenericKernel {
  public:
    GenericKernel(const Settings& s, GramPass<T>& pass) : s_(s), pass_(pass), schedule_(s), weights_(s) {
        if (s.is_adam() || s.has_momentum()) first_ = Parameters<T>(s);
        if (s.is_adam()) second_ = Parameters<T>(s);
    }

    // Takes the weights before the first step and forgets the optimiser's state.
    void start(const Parameters<T>& weights, const Matrix<T>*, Pulse&) {
        schedule_.restart();
        weights_.copy_from(weights);
        first_.clear();
        second_.clear();
    }

    void read(Parameters<T>& weights) const { weights.copy_from(weights_); }

    void step(const SparseBatch* batch, const Matrix<T>* noise, const Matrix<T>*, Pulse& pulse,
              const Matrix<T>* dropout = nullptr) {
        pass_(weights_, {batch, noise, dropout, schedule_.l1()}, pulse);
        const StepConstants<T> c = schedule_.next();
        with_update(s_, [&](auto update) {
            using U = decltype(update);
            update_matrix<U>(weights_.encoder, pass_.gradient.encoder, first_.encoder, second_.encoder, c);
            if (!s_.tied)
                update_matrix<U>(weights_.decoder, pass_.gradient.decoder, first_.decoder, second_.decoder, c);
            if (s_.bias)
                update_matrix<typename U::WithoutL1>(weights_.bias, pass_.gradient.bias, first_.bias, second_.bias, c);
        });
    }

  private:
    const Settings& s_;
    GramPass<T>& pass_;
    Schedule<T> schedule_;
    Parameters<T> weights_, first_, second_;
};

}  // namespace fastpolysem
