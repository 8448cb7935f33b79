// The autoencoder's weights, and the other inputs of a step.
#pragma once

#include "fastpolysem/models/autoencoder/model/settings.hpp"
#include "fastpolysem/optimizers/parameter_list.hpp"

namespace fastpolysem::autoencoder {

// The parameters of one model, with padded rows, or of a vector of models. A tied model has no separate decoder.
template <class E>
struct Parameters {
    Matrix<E> encoder, decoder, bias;

    Parameters() = default;
    explicit Parameters(const Settings& s) : encoder(s.n_features, s.n_hidden) {
        if (!s.tied) decoder = Matrix<E>(s.n_features, s.n_hidden);
        if (s.bias) bias = Matrix<E>(1, s.n_features);
    }
    static double bytes(const Settings& s) {
        return (s.tied ? 1 : 2) * Matrix<E>::bytes(s.n_features, s.n_hidden) +
               (s.bias ? Matrix<E>::bytes(1, s.n_features) : 0);
    }
    // The matrix that maps the hidden layer to the output.
    const Matrix<E>& reader() const { return decoder.empty() ? encoder : decoder; }
    Matrix<E>& reader() { return decoder.empty() ? encoder : decoder; }
    // The parameters that exist under the settings, in the order in which they are stored.
    ParameterList<E> list(const Settings& s) {
        const std::ptrdiff_t n = s.n_features, m = s.n_hidden;
        ParameterList<E> all = {{"encoder", &encoder, n, m, false, true}};
        if (!s.tied) all.push_back({"decoder", &decoder, n, m, false, true});
        if (s.bias) all.push_back({"bias", &bias, 1, n, true, false});
        return all;
    }
    void clear() {
        encoder.clear();
        decoder.clear();
        bias.clear();
    }
    void copy_from(const Parameters& other) {
        encoder.buffer.copy_from(other.encoder.buffer);
        decoder.buffer.copy_from(other.decoder.buffer);
        bias.buffer.copy_from(other.bias.buffer);
    }
};

// The inputs of a step besides the weights; null means none. Noise and dropout factors have one row, shared by all
// inputs, or one row per input.
template <class E>
struct StepData {
    const SparseBatch* batch = nullptr;  // null: the basis batch
    const Matrix<E>* noise = nullptr;
    const Matrix<E>* next_noise = nullptr;  // of the following step, for kernels that prepare it in advance
    const Matrix<E>* dropout = nullptr;
    double l1 = 0, learning_rate = 0;
};

}  // namespace fastpolysem::autoencoder
