// The threads of a call. OpenMP is known to pool.cpp only.
#pragma once

#include <functional>

#include "fastpolysem/infra/stop_token.hpp"

namespace fastpolysem::training {

// More are refused everywhere.
inline constexpr int most_threads = 1024;

// Threads that training uses unless told otherwise: 1 in a child of a fork, where OpenMP must not start.
int default_threads();

// How many of so many threads can be started now. OpenMP's runtime ends the process if it cannot have those that it was
// asked for, so this tries first; it costs something only when the calling thread needs more of them than before.
int startable_threads(int wanted);

// Calls work(token) in each of so many threads, the calling one among them, and waits for all. Computes in the standard
// floating-point environment. What one of them throws stops the others and is thrown here. False: stopped before the
// end.
bool run_on_threads(int threads, StopSource& source, const std::function<void(StopToken&)>& work);

}  // namespace fastpolysem::training
