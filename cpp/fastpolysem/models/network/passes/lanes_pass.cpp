#include "fastpolysem/models/network/passes/lanes_pass.hpp"

namespace fastpolysem::network {

template class LanesPass<float>;
template class LanesPass<double>;

}  // namespace fastpolysem::network
