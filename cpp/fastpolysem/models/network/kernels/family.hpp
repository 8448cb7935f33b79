// The family of networks, as the training loop sees it (training/driver.hpp).
#pragma once

#include "fastpolysem/models/network/measures/recorder.hpp"
#include "fastpolysem/models/network/model/initial.hpp"
#include "fastpolysem/models/network/model/sampler.hpp"
#include "fastpolysem/training/kernels.hpp"

namespace fastpolysem::network {

template <class T>
struct Model {
    using Number = T;
    using Settings = network::Settings;
    using Parameters = network::Parameters<T>;
    using Given = network::Given;
    using Metric = network::Metric;
    using Outcome = network::Outcome;
    using Recorder = network::Recorder<T>;
    template <class E>
    using Sampler = network::Sampler<E>;

    static void draw_start(const Settings& s, std::uint64_t seed, Parameters& weights, StopToken* stop) {
        network::draw_start(s, seed, weights, stop);
    }
    static double draw_start_bytes(const Settings& s) { return network::draw_start_bytes(s); }
};

template <class T>
using Task = training::TrainingTask<Model<T>>;
using KernelEntry = training::KernelEntry<Model>;

}  // namespace fastpolysem::network
