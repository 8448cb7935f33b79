#include "fastpolysem/models/autoencoder/kernels/table.hpp"

namespace fastpolysem::autoencoder {

const training::KernelTable<Model>& kernels() {
    // Never destroyed: threads may still be at work when the process exits.
    static const auto* const table =
        new training::KernelTable<Model>({lanes_kernel(), sparse_kernel(), dense_kernel(), generic_kernel()});
    return *table;
}

std::string refusal_in_gram_space(const Settings& s) {
    if (s.dropout != 0) return "dropout makes the outputs no function of W W^T; use 'generic'";
    if (s.has_scalar())
        return "second_moment='scalar' needs the whole gradient before the first weight moves; use 'generic'";
    if (s.repulsion != 0) return "repulsion needs whole columns of the weights; use 'generic'";
    if (s.penalises_activations()) return "l1_target='activations' is not a function of W W^T; use 'generic'";
    return "";
}

}  // namespace fastpolysem::autoencoder
