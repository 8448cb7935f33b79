// The model and its loss as in the paper, in the hidden space, for every option:
//
//     h = x W_enc,   y = act((h + xi) W_dec^T + b),   L = scale sum_rows sum_j importance_j (y_j - x_j)^2 + penalties
//
// This is the pass that users call for their own weights, without dropout. Training computes the same gradient in Gram
// space (gram_pass.hpp).
#pragma once

#include <memory>

#include "fastpolysem/models/autoencoder/model/settings.hpp"

namespace fastpolysem::autoencoder {

// One model's weights, contiguous; decoder and bias are null if the model has none.
template <class T>
struct Weights {
    const T* encoder = nullptr;
    const T* decoder = nullptr;
    const T* bias = nullptr;
};

template <class T>
struct Gradient {
    T* encoder = nullptr;
    T* decoder = nullptr;
    T* bias = nullptr;
};

template <class T>
class Objective {
  public:
    // batch null: the basis batch. noise null: none; otherwise noise_rows is 1 (shared by all inputs) or the number of
    // rows.
    Objective(const Settings& s, const SparseBatch* batch, double scale);
    ~Objective();
    Objective(const Objective&) = delete;
    Objective& operator=(const Objective&) = delete;

    void forward(const Weights<T>& w, const T* noise, std::int64_t noise_rows, T* output) const;
    double loss_and_gradient(const Weights<T>& w, const T* noise, std::int64_t noise_rows,
                             const Gradient<T>& gradient) const;

  private:
    class Pass;  // uses Eigen, which only objective.cpp includes because it is slow to compile
    std::unique_ptr<const Pass> pass_;
};

extern template class Objective<float>;
extern template class Objective<double>;

}  // namespace fastpolysem::autoencoder
