// Weights and biases of a network.
#pragma once

#include <string>

#include "fastpolysem/models/network/model/settings.hpp"
#include "fastpolysem/optimizers/parameter_list.hpp"

namespace fastpolysem::network {

// Weights, or arrays of the same shapes: weights[l] is inputs x outputs (tied: the first only); biases[l] is one row,
// empty if the layer has none.
template <class T>
struct Parameters {
    std::vector<Matrix<T>> weights, biases;

    Parameters() = default;
    explicit Parameters(const Settings& s) {
        for (std::size_t l = 0; l < s.matrices(); ++l) weights.emplace_back(s.layers[l].inputs, s.layers[l].outputs);
        for (const Layer& layer : s.layers) biases.push_back(layer.bias ? Matrix<T>(1, layer.outputs) : Matrix<T>());
    }
    static double bytes(const Settings& s) {
        double sum = 0;
        for (std::size_t l = 0; l < s.layers.size(); ++l) {
            const Layer& layer = s.layers[l];
            if (l < s.matrices()) sum += Matrix<T>::bytes(layer.inputs, layer.outputs);
            if (layer.bias) sum += Matrix<T>::bytes(1, layer.outputs);
        }
        return sum;
    }
    // The parameters that exist under the settings: weights_1, biases_1, weights_2, ...
    ParameterList<T> list(const Settings& s) {
        weights.resize(s.matrices());
        biases.resize(s.layers.size());
        ParameterList<T> all;
        for (std::size_t l = 0; l < s.layers.size(); ++l) {
            const Layer& layer = s.layers[l];
            const std::string number = std::to_string(l + 1);
            if (l < s.matrices())
                all.push_back({"weights_" + number, &weights[l], layer.inputs, layer.outputs, false, layer.l1 != 0});
            if (layer.bias) all.push_back({"biases_" + number, &biases[l], 1, layer.outputs, true, false});
        }
        return all;
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

}  // namespace fastpolysem::network
