#include "fastpolysem/models/autoencoder/model/sampler.hpp"

namespace fastpolysem::autoencoder {

template class Sampler<float>;
template class Sampler<double>;
template class Sampler<simd::Pack<float>>;
template class Sampler<simd::Pack<double>>;

}  // namespace fastpolysem::autoencoder
