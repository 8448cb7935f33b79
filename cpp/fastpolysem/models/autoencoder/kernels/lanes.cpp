#include "fastpolysem/models/autoencoder/kernels/lanes.hpp"

#include "fastpolysem/models/autoencoder/kernels/table.hpp"

namespace fastpolysem::autoencoder {

KernelEntry lanes_kernel() { return training::kernel_entry<Model, LanesKernel>(); }

}  // namespace fastpolysem::autoencoder
