// The autoencoder's kernels.
#pragma once

#include "fastpolysem/models/autoencoder/kernels/family.hpp"

namespace fastpolysem::autoencoder {

KernelEntry generic_kernel();
KernelEntry dense_kernel();
KernelEntry sparse_kernel();
KernelEntry lanes_kernel();

const training::KernelTable<Model>& kernels();

// Why kernels that work in Gram space cannot handle the settings; empty if they can.
std::string refusal_in_gram_space(const Settings& s);

}  // namespace fastpolysem::autoencoder
