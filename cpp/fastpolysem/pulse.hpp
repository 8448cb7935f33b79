// How a long computation hears that it should stop.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

namespace fastpolysem {

// Shared by the threads of one call.
struct Stopper {
    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> done{0};             // seeds finished
    std::function<bool(std::int64_t)> keep_going;  // asked by the calling thread only, about every 20 ms
};

// One thread's view. Only the thread that entered the library may ask its caller (who may hold a lock, or signals).
class Pulse {
  public:
    Pulse(Stopper& stopper, bool caller) : stopper_(stopper), caller_(caller), last_(Clock::now()) {}

    // To be called every few milliseconds of work. True: give up, the results will not be used.
    bool stopped() {
        if (caller_) {
            const auto now = Clock::now();
            if (now - last_ > std::chrono::milliseconds(20)) {
                last_ = now;
                if (stopper_.keep_going && !stopper_.keep_going(stopper_.done.load(std::memory_order_relaxed)))
                    stopper_.stop = true;
            }
        }
        return stopper_.stop.load(std::memory_order_relaxed);
    }

  private:
    using Clock = std::chrono::steady_clock;
    Stopper& stopper_;
    bool caller_;
    Clock::time_point last_;
};

}  // namespace fastpolysem
