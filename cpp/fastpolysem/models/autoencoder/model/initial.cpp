#include "fastpolysem/models/autoencoder/model/initial.hpp"

namespace fastpolysem::autoencoder {

template void draw_start(const Settings&, std::uint64_t, Parameters<float>&, StopToken*);
template void draw_start(const Settings&, std::uint64_t, Parameters<double>&, StopToken*);

}  // namespace fastpolysem::autoencoder
