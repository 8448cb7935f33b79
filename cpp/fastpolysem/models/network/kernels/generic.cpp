// The plain kernel: computes every number as defined. The other kernels must agree with it bit for bit.
#include "fastpolysem/models/network/kernels/seed_kernel.hpp"
#include "fastpolysem/models/network/kernels/table.hpp"
#include "fastpolysem/models/network/passes/generic_pass.hpp"

namespace fastpolysem::network {
namespace {

template <class T>
class GenericKernel : public SeedKernel<T, GenericPass<T>> {
  public:
    static constexpr const char* name = "generic";
    using SeedKernel<T, GenericPass<T>>::SeedKernel;
    static double bytes(const Settings& s) {
        return GenericKernel::state_bytes(s) + GenericPass<T>::bytes(s) + Disturbances<T>::bytes(s);
    }
};

}  // namespace

KernelEntry generic_kernel() { return training::kernel_entry<Model, GenericKernel>(); }

}  // namespace fastpolysem::network
