#include "fastpolysem/models/autoencoder/measures/outcome.hpp"

namespace fastpolysem::autoencoder {

const std::vector<training::Column<Outcome>>& columns() {
    constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
    // Never destroyed: threads may still be at work when the process exits.
    static const auto* const all = new std::vector<training::Column<Outcome>>{
        {"polysemantic", &Outcome::polysemantic, -1, "neurons with at least two features of 0.8 <= |weight| <= 1.2"},
        {"benign", &Outcome::benign, -1,
         "pairs of features of 0.8 <= |weight| <= 1.2 on one neuron, of opposite signs"},
        {"malign", &Outcome::malign, -1, "pairs of features of 0.8 <= |weight| <= 1.2 on one neuron, of the same sign"},
        {"signed_slots", &Outcome::signed_slots, -1, "neurons with the largest |weight| of two or more features"},
        {"signed_slots_benign", &Outcome::signed_slots_benign, -1,
         "those of signed_slots whose features have both signs"},
        {"dead", &Outcome::dead, -1, "neurons without any |weight| >= 0.8"},
        {"unrepresented", &Outcome::unrepresented, -1, "features without any |weight| >= 0.8"},
        {"nonzeros", &Outcome::nonzeros, -1, "weights that are not exactly zero, biases excluded"},
        {"loss", &Outcome::loss, nan, "final squared error on the basis batch, without noise, dropout and l1"},
        {"residual", &Outcome::residual, nan,
         "final largest |gradient| of the objective without noise and dropout, over the non-zero weights"},
        {"steps_taken", &Outcome::steps_taken, std::nullopt,
         "number of updates, fewer than requested after a certified stop"},
        {"diverged", &Outcome::diverged, std::nullopt, "whether the final weights or loss are not finite"},
        {"seconds", &Outcome::seconds, std::nullopt, "time spent on the seed"},
    };
    return *all;
}

}  // namespace fastpolysem::autoencoder
