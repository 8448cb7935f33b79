#include "fastpolysem/models/network/kernels/table.hpp"

namespace fastpolysem::network {

const training::KernelTable<Model>& kernels() {
    // Never destroyed: threads may still be at work when the process exits.
    static const auto* const table =
        new training::KernelTable<Model>({lanes_kernel(), rows_kernel(), generic_kernel()});
    return *table;
}

}  // namespace fastpolysem::network
