#include "fastpolysem/models/autoencoder/measures/recorder.hpp"

namespace fastpolysem::autoencoder {

template class Recorder<float>;
template class Recorder<double>;

}  // namespace fastpolysem::autoencoder
