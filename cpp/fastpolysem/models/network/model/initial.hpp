// Weights before the first step, from the seed's streams.
#pragma once

#include "fastpolysem/models/network/model/parameters.hpp"

namespace fastpolysem::network {

// The matrices must be zero; leaves the padding unchanged.
template <class T>
void draw_start(const Settings& s, std::uint64_t seed, Parameters<T>& w, StopToken* stop);
// Temporary memory it needs.
double draw_start_bytes(const Settings& s);

extern template void draw_start(const Settings&, std::uint64_t, Parameters<float>&, StopToken*);
extern template void draw_start(const Settings&, std::uint64_t, Parameters<double>&, StopToken*);

}  // namespace fastpolysem::network
