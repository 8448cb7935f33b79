// Cancellation and progress of a long computation.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>

#include "fastpolysem/infra/pace.hpp"

namespace fastpolysem {

// Shared by the threads of one call. Callbacks run only in the thread that entered the library.
struct StopSource {
    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> done{0};         // seeds finished
    std::function<bool()> interrupted;         // whether the user has interrupted; called every 20 to 100 ms
    std::function<bool(std::int64_t)> report;  // receives the number of finished seeds; false: stop
};

// One thread's view. Only the thread that entered the library may call back to its caller, who may hold a lock or
// handle signals.
class StopToken {
  public:
    StopToken(StopSource& source, bool caller)
        : source_(source),
          caller_(caller),
          asking_(0.02, 0.1, seconds()),
          reporting_(0.02, std::numeric_limits<double>::infinity(), seconds()) {}

    // To be called every few milliseconds of work. True: abort, the results will not be used.
    bool stopped() {
        if (caller_) ask_caller();
        return source_.stop.load(std::memory_order_relaxed);
    }

  private:
    static double seconds() {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    void ask_caller() {
        const double now = seconds();
        // Once it has raised an exception, Python must not run handlers of further signals.
        if (source_.interrupted && !source_.stop && asking_.due(now)) {
            if (source_.interrupted()) source_.stop = true;
            asking_.ran(now, seconds());
        }
        if (source_.report && reporting_.due(now) && !source_.stop) {
            const double begin = seconds();
            if (!source_.report(source_.done.load(std::memory_order_relaxed))) source_.stop = true;
            reporting_.ran(begin, seconds());
        }
    }

    StopSource& source_;
    bool caller_;
    Pace asking_, reporting_;
};

}  // namespace fastpolysem
