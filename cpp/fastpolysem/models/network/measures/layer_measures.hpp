// Measures computed from the rises of a layer: whether neurons are shared by concepts, and concepts spread over
// neurons.
#pragma once

#include <cstdint>
#include <vector>

#include "fastpolysem/models/network/measures/concepts.hpp"

namespace fastpolysem::network {

// A neuron serves a concept if switching it off undoes at least this share of the network's gain over the best constant
// output.
inline constexpr double serves = 0.1;
// A concept is not learned if its loss exceeds this share of the loss of the best constant output.
inline constexpr double not_learned_above = 0.5;
// A neuron is shared if its second largest rise is at least this share of its largest.
inline constexpr double shared_from = 0.25;

inline bool is_learned(const Concepts& concepts, const std::vector<double>& loss, std::size_t i) {
    return loss[i] <= not_learned_above * concepts.constant_loss[i];
}
// Concepts that hold in at least one row.
std::int64_t not_learned(const Concepts& concepts, const std::vector<double>& loss);

// With v_ik = max(Delta_ik, 0) and V the sum of all:
class LayerMeasures {
  public:
    explicit LayerMeasures(std::ptrdiff_t concepts)
        : of_concept_(std::size_t(concepts)), squares_(std::size_t(concepts)) {}
    static double bytes(std::ptrdiff_t concepts) { return 2 * double(concepts) * sizeof(double); }

    // Delta_ik for one neuron and all concepts.
    void add(const double* rises, const Concepts& concepts, const std::vector<double>& loss);

    double shared_use() const;           // sum of v over shared neurons / V
    double effective_concepts() const;   // sum over k of (V_k / V) N_k, N_k = V_k^2 / sum over i of v_ik^2
    double neurons_per_concept() const;  // the same with concepts and neurons exchanged
    std::int64_t serving = 0;            // neurons that serve a concept
    std::int64_t polysemantic = 0;       // neurons that serve two or more

  private:
    std::int64_t neurons_ = 0;
    double total_ = 0, shared_ = 0, weighted_concepts_ = 0;
    std::vector<double> of_concept_, squares_;  // sums over neurons of v and v^2
};

}  // namespace fastpolysem::network
