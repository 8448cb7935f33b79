// One seed a thread, input rows side by side in panels.
#include "fastpolysem/models/network/kernels/seed_kernel.hpp"
#include "fastpolysem/models/network/kernels/table.hpp"
#include "fastpolysem/models/network/passes/rows_pass.hpp"

namespace fastpolysem::network {
namespace {

template <class T>
class RowsKernel : public SeedKernel<T, RowsPass<T>> {
  public:
    static constexpr const char* name = "rows";
    using SeedKernel<T, RowsPass<T>>::SeedKernel;
    static double bytes(const Settings& s) {
        const bool dense = s.inputs == Inputs::dataset && !s.shared<T>().data->dense.empty();
        return RowsKernel::state_bytes(s) + RowsPass<T>::bytes(s, s.rows(), dense);
    }
};

}  // namespace

KernelEntry rows_kernel() { return training::kernel_entry<Model, RowsKernel>(); }

}  // namespace fastpolysem::network
