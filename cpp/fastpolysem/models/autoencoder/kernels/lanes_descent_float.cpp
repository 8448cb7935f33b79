#include "fastpolysem/models/autoencoder/kernels/lanes_descent.hpp"

namespace fastpolysem::autoencoder {

FASTPOLYSEM_DESCEND_ALL(, float)

}  // namespace fastpolysem::autoencoder
