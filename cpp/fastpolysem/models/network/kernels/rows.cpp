// One seed per thread, with input rows side by side in panels.
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
        const bool given = s.inputs == Inputs::dataset && !s.shared<T>().data->dense.empty();
        const bool dense = given || samples_densely(s);
        double sum = RowsKernel::state_bytes(s) + RowsPass<T>::bytes(s, s.rows(), dense);
        for (std::size_t l = 0; l < s.hidden(); ++l) {
            if (!Disturbances<T>::noise_by_panels(s, l)) sum += Disturbances<T>::noise_bytes(s, l);
            if (!Disturbances<T>::dropout_by_panels(s, l)) sum += Disturbances<T>::dropout_bytes(s, l);
        }
        return sum;
    }
};

}  // namespace

KernelEntry rows_kernel() { return training::kernel_entry<Model, RowsKernel>(); }

}  // namespace fastpolysem::network
