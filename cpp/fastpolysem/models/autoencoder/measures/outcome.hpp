// A seed's row of results, and what can be recorded during training.
#pragma once

#include "fastpolysem/infra/names.hpp"
#include "fastpolysem/models/autoencoder/measures/metrics.hpp"
#include "fastpolysem/training/columns.hpp"

namespace fastpolysem::autoencoder {

struct Outcome : training::Outcome, Counts {
    std::int64_t nonzeros = 0;
    double loss = 0;
    double residual = 0;
};

// All columns, in the order of the public results, counts first. This is the only place that lists them.
inline constexpr std::size_t count_columns = 7;
const std::vector<training::Column<Outcome>>& columns();

enum class Metric {
    objective,
    loss,
    residual,
    polysemantic,
    benign,
    malign,
    signed_slots,
    signed_slots_benign,
    dead,
    unrepresented,
    nonzeros,
    l1_norm,
    fourth_norm
};

}  // namespace fastpolysem::autoencoder

namespace fastpolysem {

template <>
struct Names<autoencoder::Metric> {
    static constexpr const char* all[] = {
        "objective",           "loss", "residual",      "polysemantic", "benign",  "malign",     "signed_slots",
        "signed_slots_benign", "dead", "unrepresented", "nonzeros",     "l1_norm", "fourth_norm"};
};

}  // namespace fastpolysem
