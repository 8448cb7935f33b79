// Many seeds: each trained by one thread, each result a function of its own seed only.
#pragma once

#include <string>
#include <vector>

#include "config.hpp"
#include "metrics.hpp"
#include "pulse.hpp"

namespace fastpolysem {

// What can be recorded on the way.
enum class Metric {
    objective,
    loss,
    residual,
    polysemantic,
    benign,
    malign,
    signed_slots,
    signed_slots_benign,
    dead,
    unrepresented,
    nonzeros,
    l1_norm,
    fourth_norm
};
template <>
struct Names<Metric> {
    static constexpr const char* all[] = {
        "objective",           "loss", "residual",      "polysemantic", "benign",  "malign",     "signed_slots",
        "signed_slots_benign", "dead", "unrepresented", "nonzeros",     "l1_norm", "fourth_norm"};
};

// One seed's row. Counts are -1 and the loss NaN where it diverged.
struct Outcome {
    Counts counts;
    std::int64_t nonzeros = 0, steps_taken = 0;
    double loss = 0;      // noise-free, without l1, basis batch
    double residual = 0;  // largest |total gradient| over non-zero weights
    double seconds = 0;
    bool diverged = false;
};

// Arrays are contiguous with a leading axis over seeds, of T = settings.dtype; null where absent.
struct TrainingTask {
    Settings settings;
    const std::uint64_t* seeds = nullptr;
    std::int64_t count = 0;
    const void *encoder = nullptr, *decoder = nullptr, *bias = nullptr;  // initial weights
    const void* noise = nullptr;                                         // (noise_sets, steps, [rows,] n_hidden)
    std::int64_t noise_sets = 0;                                         // 1 or count
    std::vector<Metric> metrics;
    std::vector<std::int64_t> record_steps;  // ascending
    int threads = 1;
    std::string kernel = "auto";
    Outcome* outcomes = nullptr;   // (count,)
    std::vector<double*> history;  // a (count, record_steps) array for each metric
    void *final_encoder = nullptr, *final_decoder = nullptr, *final_bias = nullptr;
};

// Why the kernel cannot serve the settings; empty if it can.
std::string kernel_refusal(const Settings& settings, const std::string& kernel);

// The kernel that "auto" stands for, for this many seeds. It decides about time only: all give the same bits.
std::string best_kernel(const Settings& settings, std::int64_t seeds);

// Memory that one thread needs for a seed, in bytes.
std::int64_t model_bytes(const Settings& settings);

// False if it was stopped before the end. keep_going(done) is asked in the calling thread.
bool train(const TrainingTask& task, std::function<bool(std::int64_t)> keep_going);

// Threads that training uses unless told otherwise: 1 in a child of a fork, where OpenMP must not start.
int default_threads();

}  // namespace fastpolysem
