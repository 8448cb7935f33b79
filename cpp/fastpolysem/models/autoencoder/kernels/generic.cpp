#include "fastpolysem/models/autoencoder/kernels/generic.hpp"

#include "fastpolysem/models/autoencoder/kernels/table.hpp"

namespace fastpolysem::autoencoder {

KernelEntry generic_kernel() { return training::kernel_entry<Model, GenericKernel>(); }

}  // namespace fastpolysem::autoencoder
