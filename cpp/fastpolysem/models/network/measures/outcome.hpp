// A seed's row of results, and what can be recorded during training.
#pragma once

#include <limits>
#include <string>

#include "fastpolysem/models/network/model/settings.hpp"
#include "fastpolysem/training/columns.hpp"

namespace fastpolysem::network {

inline constexpr auto nan = std::numeric_limits<double>::quiet_NaN();  // not measured

// Of one hidden layer, or of all: sums of counts, means of everything else. See measures/layer_measures.
struct Neurons {
    std::int64_t dead = 0, serving = 0, polysemantic = 0;
    double shared_use = 0, effective_concepts = 0, neurons_per_concept = 0;
};

struct Outcome : training::Outcome {
    double loss = 0, accuracy = 0;  // on the evaluation rows
    double held_out_loss = 0, held_out_accuracy = 0;
    std::int64_t not_learned = 0;
    Neurons all;
    std::vector<Neurons> layers;  // hidden ones
    double largest_gradient = 0;
};

// The columns that exist under these settings. Python's families/network/family.py has the same names, with bounds and
// its own documentation, because it lists columns of configurations whose settings it has not lowered.
std::vector<training::Column<Outcome>> columns(const Settings& s);

// Whether a loss is for classification, so that an accuracy is defined.
inline bool decides(const Settings& s) { return s.loss != Loss::power; }
bool has_held_out(const Settings& s);

struct Metric {
    enum Kind {
        objective,
        loss,
        accuracy,
        held_out_loss,
        held_out_accuracy,
        not_learned,
        dead,
        serving,
        polysemantic,
        shared_use,
        effective_concepts,
        neurons_per_concept,
        largest_gradient,
        nonzeros,
        l1_norm
    } kind;
    std::size_t layer = 0;  // for measures of neurons: from 1; 0 for all layers
};

// By name: that of a column, or of a metric without one.
Metric metric_of(const Settings& s, const std::string& name);

}  // namespace fastpolysem::network

namespace fastpolysem {

template <>
struct Names<network::Metric::Kind> {
    static constexpr const char* all[] = {"objective",
                                          "loss",
                                          "accuracy",
                                          "held_out_loss",
                                          "held_out_accuracy",
                                          "not_learned",
                                          "dead",
                                          "serving",
                                          "polysemantic",
                                          "shared_use",
                                          "effective_concepts",
                                          "neurons_per_concept",
                                          "largest_gradient",
                                          "nonzeros",
                                          "l1_norm"};
};

}  // namespace fastpolysem
