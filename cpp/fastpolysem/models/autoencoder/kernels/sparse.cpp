#include "fastpolysem/models/autoencoder/kernels/sparse.hpp"

#include "fastpolysem/models/autoencoder/kernels/table.hpp"

namespace fastpolysem::autoencoder {

KernelEntry sparse_kernel() { return training::kernel_entry<Model, SparseKernel>(); }

}  // namespace fastpolysem::autoencoder
