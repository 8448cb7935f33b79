#include "fastpolysem/models/autoencoder/kernels/dense.hpp"

#include "fastpolysem/models/autoencoder/kernels/table.hpp"

namespace fastpolysem::autoencoder {

template class DenseKernel<float>;
template class DenseKernel<double>;

KernelEntry dense_kernel() { return training::kernel_entry<Model, DenseKernel>(); }

}  // namespace fastpolysem::autoencoder
