#include "fastpolysem/models/autoencoder/passes/gradient_pass.hpp"

namespace fastpolysem::autoencoder {

template class OutputGradient<float>;
template class OutputGradient<double>;
template class GramPass<float>;
template class GramPass<double>;
template class HiddenPass<float>;
template class HiddenPass<double>;
template class Penalties<float>;
template class Penalties<double>;
template class GradientPass<float>;
template class GradientPass<double>;

}  // namespace fastpolysem::autoencoder
