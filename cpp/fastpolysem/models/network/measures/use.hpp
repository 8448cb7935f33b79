// The use of a hidden neuron by a concept: by how much the concept's loss rises when the neuron is set to its mean.
#pragma once

#include <functional>

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/models/network/measures/concepts.hpp"
#include "fastpolysem/models/network/passes/loss.hpp"
#include "fastpolysem/models/network/passes/products.hpp"
#include "fastpolysem/models/network/passes/sparse_inputs.hpp"

namespace fastpolysem::network {

// For neuron k of hidden layer l let mu_k be the mean of act(Z_l)_k over all rows. Then
//
//     Delta_ik = mean over the rows of concept i of [loss of i's output with mu_k in place of act(Z_l)_k, less without]
//
// Neurons that are `held` stay at their mean throughout. Sums are in double, over ascending rows.
template <class T>
class Use {
    using P = simd::Pack<T>;

  public:
    // Receives Delta_ik for all concepts i; neurons k ascend within ascending layers l.
    using Sink = std::function<void(std::size_t l, std::ptrdiff_t k, const double* rises)>;
    using Held = std::vector<std::vector<std::uint8_t>>;  // per hidden layer, one flag per neuron, or none

    explicit Use(const Settings& s);
    static double bytes(const Settings& s, std::ptrdiff_t concepts);

    void operator()(const Parameters<T>& w, const Step<T>& step, const Concepts& concepts, const Held& held,
                    StopToken& stop, const Sink& sink);

    std::vector<double> loss;                // of each concept, a mean over its rows; computed before the first rise
    std::vector<std::vector<double>> means;  // mu of each hidden layer

  private:
    static constexpr std::ptrdiff_t numbers_at_once = 1 << 20;  // rises

    struct State {
        PackedColumns<T> weights;
        Buffer<T> z, value, read;   // Z + b; act(Z + b); what the next layer reads
        Buffer<T> z_off, read_off;  // with a neuron switched off
        explicit State(const Layer& layer);
    };
    struct Entry {  // a concept that holds in a row of the panel
        std::ptrdiff_t row;
        std::int32_t concept_number, output;
        double loss;
    };

    std::ptrdiff_t panels() const { return (step_->rows + panel_rows - 1) / panel_rows; }
    std::ptrdiff_t rows_of(std::ptrdiff_t p) const { return std::min(panel_rows, step_->rows - p * panel_rows); }
    Panel<T> panel(Buffer<T>& buffer, std::ptrdiff_t features, std::ptrdiff_t p) const {
        return {buffer.data(), features, panel_rows, (rows_of(p) + P::width - 1) / P::width * P::width};
    }
    Panel<T> of_layer(Buffer<T> State::* which, std::size_t l, std::ptrdiff_t p) {
        return panel(layers_[l].*which, s_.layers[l].outputs, p);
    }

    void pack();
    const T* weights_above(std::size_t l, std::ptrdiff_t k) const;
    void add_bias(std::size_t l, Panel<T> z) const;
    void respond(std::size_t l, Panel<T> z, Panel<T> value) const;
    void forward(std::ptrdiff_t p);
    Panel<T> switch_off(std::size_t l, std::ptrdiff_t k, std::ptrdiff_t p);
    void take_means(StopToken& stop);
    void take_entries(std::ptrdiff_t p, const Concepts& concepts);
    template <class Take>
    void each_loss(Panel<T> outputs, Take take);
    void take_row_losses(Panel<T> outputs);

    const Settings& s_;
    LossGradient<T> loss_of_;
    std::vector<State> layers_;
    Matrix<T> rows_;
    Buffer<T> inputs_, transposed_, delta_;
    const Parameters<T>* w_ = nullptr;
    const Step<T>* step_ = nullptr;
    const Held* held_ = nullptr;
    // Of a panel:
    std::vector<Entry> entries_;
    std::vector<double> targets_, row_losses_;
    std::vector<std::int32_t> labels_;
    bool whole_rows_ = false;  // whether some concept's loss is that of the row
    std::vector<double> rises_;
};

extern template class Use<float>;
extern template class Use<double>;

}  // namespace fastpolysem::network
