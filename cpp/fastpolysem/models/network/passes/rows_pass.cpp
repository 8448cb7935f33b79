#include "fastpolysem/models/network/passes/rows_pass.hpp"

namespace fastpolysem::network {

template class RowsPass<float>;
template class RowsPass<double>;

}  // namespace fastpolysem::network
