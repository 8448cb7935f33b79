// The autoencoder's weights, and what a step is made of besides them.
#pragma once

#include "fastpolysem/models/autoencoder/model/settings.hpp"
#include "fastpolysem/optimizers/parameter_list.hpp"

namespace fastpolysem::autoencoder {

// One model's parameters with padded rows, or those of a vector of models. A tied model has no decoder of its own.
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
    // What maps hidden to output.
    const Matrix<E>& reader() const { return decoder.empty() ? encoder : decoder; }
    Matrix<E>& reader() { return decoder.empty() ? encoder : decoder; }
    // Those that the settings have, in the order in which they are stored.
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

// What a step is made of besides the weights. Each is null for none; noise and dropout factors have one row, shared by
// the inputs, or a row for each.
template <class E>
struct StepData {
    const SparseBatch* batch = nullptr;  // null: the basis batch
    const Matrix<E>* noise = nullptr;
    const Matrix<E>* next_noise = nullptr;  // of the step after, for kernels that already prepare it
    const Matrix<E>* dropout = nullptr;
    double l1 = 0, learning_rate = 0;
};

}  // namespace fastpolysem::autoencoder
