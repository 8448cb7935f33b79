// The threads of a call. Only pool.cpp uses OpenMP.
#pragma once

#include <functional>

#include "fastpolysem/infra/stop_token.hpp"

namespace fastpolysem::training {

// The maximum; larger numbers are rejected everywhere.
inline constexpr int most_threads = 1024;

// The default number of threads: 1 in a forked child, where OpenMP must not start.
int default_threads();

// How many of the requested threads can be started now. OpenMP's runtime terminates the process if it cannot start the
// number requested, so this is tested first. The test takes time only if the calling thread needs more threads than
// before.
int startable_threads(int wanted);

// Calls work(token) in each of this many threads, including the calling one, and waits for all of them. Computes in the
// standard floating-point environment. An exception in one thread stops the others and is rethrown here. False: stopped
// before the end.
bool run_on_threads(int threads, StopSource& source, const std::function<void(StopToken&)>& work);

}  // namespace fastpolysem::training
