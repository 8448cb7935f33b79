// The task of one call: many seeds of one kind of model, and where their results go.
#pragma once

#include <cstdint>
#include <vector>

namespace fastpolysem::training {

// Model: see driver.hpp. Arrays are contiguous with a leading axis over seeds.
template <class Model>
struct TrainingTask {
    using T = typename Model::Number;

    typename Model::Settings settings;
    const std::uint64_t* seeds = nullptr;
    std::int64_t count = 0;
    // One per parameter of the model, in the order of its list.
    std::vector<const T*> initial_weights;  // empty: drawn. Null: zero
    std::vector<T*> final_weights;          // empty or null: not returned
    typename Model::Given given;            // draws given by the caller instead of those of the seeds
    std::vector<typename Model::Metric> metrics;
    std::vector<std::int64_t> record_steps;       // ascending
    std::vector<double*> history;                 // a (count, record_steps) array for each metric
    typename Model::Outcome* outcomes = nullptr;  // (count,)
    int threads = 1;
};

}  // namespace fastpolysem::training
