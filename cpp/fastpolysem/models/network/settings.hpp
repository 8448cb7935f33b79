// What a network computes in a step, and the tables of numbers it works on.
#pragma once

#include <cstdint>
#include <vector>

#include "../../buffer.hpp"

namespace fastpolysem::network {

enum class Activation { relu, gelu, tanh, square, linear };
enum class Loss { power, cross_entropy, binary_cross_entropy };
enum class Target { given, identity, absolute, relu };  // identity, absolute, relu: of the inputs

struct Layer {
    std::ptrdiff_t inputs = 1, outputs = 1;
    Activation activation = Activation::relu;  // the last layer: relu or linear
    bool bias = true;
    bool residual = false;  // adds what came in; inputs == outputs
    bool frozen = false;
    double l1 = 0;              // on weights
    double l1_activations = 0;  // on act(z), hidden layers
};

struct Settings {
    std::vector<Layer> layers;
    bool tied = false;  // two layers: the second matrix is the first's transpose
    Loss loss = Loss::power;
    Target target = Target::given;
    double power = 2;                // a multiple of 1/2, at least 1
    std::vector<double> importance;  // a factor for each output; empty: all ones
    double scale = 1;                // of loss and l1 on activations

    std::ptrdiff_t n_inputs() const { return layers.front().inputs; }
    std::ptrdiff_t n_outputs() const { return layers.back().outputs; }
    std::size_t matrices() const { return tied ? 1 : layers.size(); }
};

// Weights, or anything shaped like them: weights[l] is inputs x outputs (tied: the first only); biases[l] is one row,
// empty where the layer has none.
template <class T>
struct Parameters {
    std::vector<Matrix<T>> weights, biases;

    Parameters() = default;
    explicit Parameters(const Settings& s) {
        for (std::size_t l = 0; l < s.matrices(); ++l) weights.emplace_back(s.layers[l].inputs, s.layers[l].outputs);
        for (const Layer& layer : s.layers) biases.push_back(layer.bias ? Matrix<T>(1, layer.outputs) : Matrix<T>());
    }
    void clear() {
        for (Matrix<T>& w : weights) w.clear();
        for (Matrix<T>& b : biases) b.clear();
    }
    void copy_from(const Parameters& other) {
        for (std::size_t l = 0; l < weights.size(); ++l) weights[l].buffer.copy_from(other.weights[l].buffer);
        for (std::size_t l = 0; l < biases.size(); ++l) biases[l].buffer.copy_from(other.biases[l].buffer);
    }
};

// Compressed sparse rows; features ascend within a row, no value is zero.
template <class T>
struct SparseRows {
    std::vector<std::int64_t> row_start = {0};
    std::vector<std::int32_t> feature;
    std::vector<T> value;
};

// What one step shows and adds. Tables are lent; inputs are either dense or sparse.
template <class T>
struct Step {
    std::ptrdiff_t rows = 0;                // shown
    const std::int32_t* order = nullptr;    // their numbers in the tables, in the order shown; null: 0, 1, ...
    const Matrix<T>* dense = nullptr;       // inputs
    const SparseRows<T>* sparse = nullptr;  // inputs
    const Matrix<T>* targets = nullptr;     // Target::given
    const std::int32_t* labels = nullptr;   // cross-entropy: a class for each row of the tables
    // For each hidden layer a row for each row shown, or one row for all; null or short: none.
    std::vector<const Matrix<T>*> noise, dropout;

    std::ptrdiff_t table_row(std::ptrdiff_t b) const { return order ? order[b] : b; }
    const Matrix<T>* noise_of(std::size_t l) const { return l < noise.size() ? noise[l] : nullptr; }
    const Matrix<T>* dropout_of(std::size_t l) const { return l < dropout.size() ? dropout[l] : nullptr; }
    // Calls use(feature, value) for the non-zero inputs of row b, features ascending.
    template <class Use>
    void each_input(std::ptrdiff_t b, Use use) const {
        const std::ptrdiff_t row = table_row(b);
        if (sparse) {
            const auto end = std::size_t(sparse->row_start[std::size_t(row) + 1]);
            for (auto e = std::size_t(sparse->row_start[std::size_t(row)]); e < end; ++e)
                use(sparse->feature[e], sparse->value[e]);
        } else {
            const T* x = dense->row(row);
            for (std::ptrdiff_t i = 0; i < dense->columns; ++i)
                if (x[i] != 0) use(std::int32_t(i), x[i]);
        }
    }
};

}  // namespace fastpolysem::network
