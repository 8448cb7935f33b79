#include "fastpolysem/models/network/passes/update.hpp"

namespace fastpolysem::network {

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace fastpolysem::network
