#include "fastpolysem/models/network/passes/generic_pass.hpp"

namespace fastpolysem::network {

template class GenericPass<float>;
template class GenericPass<double>;

}  // namespace fastpolysem::network
