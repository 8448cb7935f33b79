// The family of the paper's autoencoder, as the training loop sees it (training/driver.hpp).
#pragma once

#include "fastpolysem/models/autoencoder/measures/recorder.hpp"
#include "fastpolysem/models/autoencoder/model/initial.hpp"
#include "fastpolysem/models/autoencoder/model/sampler.hpp"
#include "fastpolysem/training/kernels.hpp"

namespace fastpolysem::autoencoder {

template <class T>
struct Model {
    using Number = T;
    using Settings = autoencoder::Settings;
    using Parameters = autoencoder::Parameters<T>;
    using Given = GivenNoise<T>;
    using Metric = autoencoder::Metric;
    using Outcome = autoencoder::Outcome;
    using Recorder = autoencoder::Recorder<T>;
    template <class E>
    using Sampler = autoencoder::Sampler<E>;

    static void draw_start(const Settings& s, std::uint64_t seed, Parameters& weights, StopToken* stop) {
        autoencoder::draw_start(s, seed, weights, stop);
    }
    static double draw_start_bytes(const Settings& s) { return autoencoder::draw_start_bytes(s); }
};

template <class T>
using Task = training::TrainingTask<Model<T>>;
using KernelEntry = training::KernelEntry<Model>;

}  // namespace fastpolysem::autoencoder
