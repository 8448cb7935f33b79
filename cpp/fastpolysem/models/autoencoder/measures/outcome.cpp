#include "fastpolysem/models/autoencoder/measures/outcome.hpp"

namespace fastpolysem::autoencoder {

const std::vector<training::Column<Outcome>>& columns() {
    constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
    // Never destroyed: threads may still be at work when the process exits.
    static const auto* const all = new std::vector<training::Column<Outcome>>{
        {"polysemantic", &Outcome::polysemantic, -1, "neurons with at least two features in the window"},
        {"benign", &Outcome::benign, -1, "pairs of features of opposite signs that share a neuron in the window"},
        {"malign", &Outcome::malign, -1, "pairs of features of the same sign that share a neuron in the window"},
        {"signed_slots", &Outcome::signed_slots, -1, "neurons that hold the largest weight of at least two features"},
        {"signed_slots_benign", &Outcome::signed_slots_benign, -1, "... of features of both signs"},
        {"dead", &Outcome::dead, -1, "neurons that no feature uses"},
        {"unrepresented", &Outcome::unrepresented, -1, "features that use no neuron"},
        {"nonzeros", &Outcome::nonzeros, -1, "weights that are not exactly zero, biases left out"},
        {"loss", &Outcome::loss, nan, "squared error without noise and l1 on the basis batch, after the last step"},
        {"residual", &Outcome::residual, nan, "largest total gradient of a non-zero weight then"},
        {"steps_taken", &Outcome::steps_taken, std::nullopt, "updates until the end, or until the outcome was certain"},
        {"diverged", &Outcome::diverged, std::nullopt, "whether weights or loss ended up not finite"},
        {"seconds", &Outcome::seconds, std::nullopt, "time spent on the seed"},
    };
    return *all;
}

}  // namespace fastpolysem::autoencoder
