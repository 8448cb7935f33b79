#include "fastpolysem/training/pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "fastpolysem/infra/float_environment.hpp"

namespace fastpolysem::training {
namespace {

std::atomic<bool> forked{false};

#if defined(__unix__) || defined(__APPLE__)
// OpenMP's pool does not survive a fork: a child that used it would wait forever.
const int watch_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

#ifdef _OPENMP
// OpenMP keeps a pool for each thread that enters it; this is how large the calling thread's is.
thread_local int pool_size = 1;

// Starts this many idle threads, or as many as the system allows. Returns how many existed at the same time.
int try_threads(int wanted) {
    std::mutex lock;
    std::condition_variable opened;
    bool open = false;
    std::vector<std::thread> started;
    const auto wait = [&] {
        std::unique_lock<std::mutex> hold(lock);
        opened.wait(hold, [&] { return open; });
    };
    try {
        for (int i = 0; i < wanted; ++i) started.emplace_back(wait);
    } catch (const std::exception&) {  // std::system_error, or no memory
    }
    {
        const std::lock_guard<std::mutex> hold(lock);
        open = true;
    }
    opened.notify_all();
    for (std::thread& thread : started) thread.join();
    return int(started.size());
}
#endif

// State shared by the threads of one call.
class Team {
  public:
    Team(StopSource& source, const std::function<void(StopToken&)>& work) : source_(source), work_(work) {}

    void set_size(int size) { working_ = size; }
    void run(bool caller) {
        const FloatEnvironment environment;
        StopToken token(source_, caller);
        try {
            work_(token);
        } catch (...) {
            const std::lock_guard<std::mutex> hold(lock_);
            failure_ = std::current_exception();
            source_.stop = true;
        }
        std::unique_lock<std::mutex> hold(lock_);
        if (--working_ == 0) all_done_.notify_one();
        while (caller && !all_done_.wait_for(hold, std::chrono::milliseconds(10), [this] { return working_ == 0; })) {
            hold.unlock();  // keep handling signals while the others compute
            token.stopped();
            hold.lock();
        }
    }
    void raise_failure() const {
        if (failure_) std::rethrow_exception(failure_);
    }

  private:
    StopSource& source_;
    const std::function<void(StopToken&)>& work_;
    std::mutex lock_;  // guards the members below
    std::condition_variable all_done_;
    int working_ = 1;
    std::exception_ptr failure_;
};

}  // namespace

int default_threads() {
#ifdef _OPENMP
    return forked ? 1 : std::clamp(omp_get_max_threads(), 1, most_threads);
#else
    return 1;
#endif
}

int startable_threads(int wanted) {
#ifdef _OPENMP
    if (forked || wanted <= pool_size) return wanted;
    // A few spare threads, since a thread that has just ended may still be counted.
    constexpr int spare = 4;
    const int more = wanted - pool_size, there = try_threads(more + spare);
    return pool_size + std::clamp(there - spare, 0, more);
#else
    return wanted;
#endif
}

bool run_on_threads(int threads, StopSource& source, const std::function<void(StopToken&)>& work) {
    Team team(source, work);
#ifdef _OPENMP
    if (threads > 1 && !forked) {
        pool_size = threads;
#pragma omp parallel num_threads(threads)
        {
#pragma omp single
            team.set_size(omp_get_num_threads());
            team.run(omp_get_thread_num() == 0);
        }
    } else
#endif
    {
        (void)threads;
        team.run(true);
    }
    team.raise_failure();
    return !source.stop;
}

}  // namespace fastpolysem::training
