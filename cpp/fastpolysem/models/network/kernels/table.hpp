// The kernels of networks.
#pragma once

#include "fastpolysem/models/network/kernels/family.hpp"

namespace fastpolysem::network {

KernelEntry generic_kernel();
KernelEntry rows_kernel();
KernelEntry lanes_kernel();

const training::KernelTable<Model>& kernels();

}  // namespace fastpolysem::network
