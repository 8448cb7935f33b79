#include "fastpolysem/models/autoencoder/passes/objective.hpp"

#include <Eigen/Core>
#include <Eigen/SparseCore>

namespace fastpolysem::autoencoder {
namespace {

template <class T>
using RowMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ConstMap = Eigen::Map<const RowMatrix<T>>;

// Copies what is transposed: Eigen takes seconds to compile a product for each arrangement of its factors.
template <class T>
RowMatrix<T> product(const RowMatrix<T>& a, const RowMatrix<T>& b) {
    return a * b;
}

}  // namespace

template <class T>
class Objective<T>::Pass {
  public:
    Pass(const Settings& s, const SparseBatch* batch, double scale)
        : s_(s), rows_(batch ? batch->rows() : s.n_features), scale_(T(scale)) {
        x_.resize(rows_, s.n_features);
        std::vector<Eigen::Triplet<T>> entries;
        if (batch) {
            for (std::int64_t b = 0; b < rows_; ++b)
                for (std::int64_t e = batch->row_start[std::size_t(b)]; e < batch->row_start[std::size_t(b) + 1]; ++e)
                    entries.emplace_back(b, batch->feature[std::size_t(e)], T(batch->value[std::size_t(e)]));
        } else {
            for (std::int64_t i = 0; i < rows_; ++i) entries.emplace_back(i, i, T(1));
        }
        x_.setFromTriplets(entries.begin(), entries.end());
        importance_ = Eigen::Array<T, 1, Eigen::Dynamic>::Ones(s.n_features);
        for (std::size_t j = 0; j < s.importance.size(); ++j) importance_[Eigen::Index(j)] = T(s.importance[j]);
    }

    void forward(const Weights<T>& w, const T* noise, std::int64_t noise_rows, T* output) const {
        const RowMatrix<T> hidden = this->hidden(encoder(w), noise, noise_rows);
        RowMatrix<T> pre;
        Eigen::Map<RowMatrix<T>>(output, rows_, s_.n_features) = activate(pre_activation(w, hidden, pre));
    }

    double loss_and_gradient(const Weights<T>& w, const T* noise, std::int64_t noise_rows,
                             const Gradient<T>& gradient) const {
        const auto enc = encoder(w);
        const auto dec = decoder(w);
        const RowMatrix<T> hidden = this->hidden(enc, noise, noise_rows);
        RowMatrix<T> pre;
        RowMatrix<T> error = activate(pre_activation(w, hidden, pre));
        error -= x_;
        double loss = (error.array().square().rowwise() * importance_).template cast<double>().sum() * double(scale_);

        RowMatrix<T> d_pre = (error.array().rowwise() * importance_) * (2 * scale_);
        if (s_.activation == Activation::relu) d_pre = (pre.array() > 0).select(d_pre, T(0));
        RowMatrix<T> d_hidden = product<T>(d_pre, dec);
        const T l1 = T(s_.l1);
        const RowMatrix<T> d_decoder = product<T>(d_pre.transpose(), hidden);
        if (s_.l1 != 0 && s_.l1_target == L1Target::activations) {
            const RowMatrix<T> clean = x_ * enc;
            loss += s_.l1 * double(scale_) * clean.template cast<double>().cwiseAbs().sum();
            d_hidden += (l1 * scale_) * clean.cwiseSign();
        }
        const bool weight_l1 = s_.l1 != 0 && s_.l1_target == L1Target::weights;
        if (weight_l1) {
            loss += s_.l1 * enc.template cast<double>().cwiseAbs().sum();
            if (w.decoder) loss += s_.l1 * dec.template cast<double>().cwiseAbs().sum();
        }
        Eigen::Map<RowMatrix<T>> to_encoder(gradient.encoder, s_.n_features, s_.n_hidden);
        to_encoder = x_.transpose() * d_hidden;
        if (w.decoder) {
            Eigen::Map<RowMatrix<T>> to_decoder(gradient.decoder, s_.n_features, s_.n_hidden);
            to_decoder = d_decoder;
            if (weight_l1) to_decoder += l1 * dec.cwiseSign();
        } else {
            to_encoder += d_decoder;
        }
        if (weight_l1) to_encoder += l1 * enc.cwiseSign();
        if (s_.repulsion != 0) {
            loss += repel(enc, gradient.encoder);
            if (w.decoder) loss += repel(dec, gradient.decoder);
        }
        if (w.bias)
            Eigen::Map<Eigen::Matrix<T, 1, Eigen::Dynamic>>(gradient.bias, s_.n_features) = d_pre.colwise().sum();
        return loss;
    }

  private:
    // repulsion sum_k sum_{i<j} w_ik^2 w_jk^2 = repulsion / 2 sum_ik w_ik^2 (sum_j w_jk^2 - w_ik^2); adds its gradient.
    double repel(const ConstMap<T>& w, T* gradient) const {
        const RowMatrix<T> squares = w.array().square();
        RowMatrix<T> others = -squares;
        others.rowwise() += squares.colwise().sum();
        Eigen::Map<RowMatrix<T>>(gradient, w.rows(), w.cols()).array() +=
            T(2 * s_.repulsion) * w.array() * others.array();
        return s_.repulsion / 2 * (squares.array() * others.array()).template cast<double>().sum();
    }

    ConstMap<T> encoder(const Weights<T>& w) const { return {w.encoder, s_.n_features, s_.n_hidden}; }
    ConstMap<T> decoder(const Weights<T>& w) const {
        return {w.decoder ? w.decoder : w.encoder, s_.n_features, s_.n_hidden};
    }

    RowMatrix<T> hidden(const ConstMap<T>& enc, const T* noise, std::int64_t noise_rows) const {
        RowMatrix<T> h = x_ * enc;
        if (noise && noise_rows == 1)
            h.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(noise, s_.n_hidden);
        else if (noise) h += ConstMap<T>(noise, rows_, s_.n_hidden);
        return h;
    }

    const RowMatrix<T>& pre_activation(const Weights<T>& w, const RowMatrix<T>& hidden, RowMatrix<T>& pre) const {
        pre = product<T>(hidden, decoder(w).transpose());
        if (w.bias) pre.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(w.bias, s_.n_features);
        return pre;
    }

    RowMatrix<T> activate(const RowMatrix<T>& pre) const {
        if (s_.activation == Activation::linear) return pre;
        return pre.cwiseMax(T(0));
    }

    const Settings& s_;
    std::int64_t rows_;
    T scale_;
    Eigen::SparseMatrix<T, Eigen::RowMajor> x_;
    Eigen::Array<T, 1, Eigen::Dynamic> importance_;
};

template <class T>
Objective<T>::Objective(const Settings& s, const SparseBatch* batch, double scale)
    : pass_(std::make_unique<const Pass>(s, batch, scale)) {}

template <class T>
Objective<T>::~Objective() = default;

template <class T>
void Objective<T>::forward(const Weights<T>& w, const T* noise, std::int64_t noise_rows, T* output) const {
    pass_->forward(w, noise, noise_rows, output);
}

template <class T>
double Objective<T>::loss_and_gradient(const Weights<T>& w, const T* noise, std::int64_t noise_rows,
                                       const Gradient<T>& gradient) const {
    return pass_->loss_and_gradient(w, noise, noise_rows, gradient);
}

template class Objective<float>;
template class Objective<double>;

}  // namespace fastpolysem::autoencoder
