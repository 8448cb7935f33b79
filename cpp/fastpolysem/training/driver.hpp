// The training loop: one seed, or a vector of seeds at once, from the initial to the final weights.
//
// A family of models is a class Model<T>, T = float or double, that has
//
//     Number, Settings, Given, Metric, Outcome     types: T; with a member `steps`; draws given by the caller; what can
//                                                  be recorded; a row of results, derived from training::Outcome
//     Parameters     Parameters(settings), list(settings) -> ParameterList<T>, also before memory is allocated
//     Sampler<E>     what a step needs besides the weights, for one seed (E = T) or a vector of them (E = Pack<T>):
//                    Sampler(settings, given, ahead, stop), start(seeds, first, count), take(step), data(),
//                    of_lane(lane)
//     Recorder       measures weights owned by the driver: Recorder(settings, metrics, stop), workspace(),
//                    look_at(seed): whose weights come next,
//                    record(weights, data, last, values), finish(weights) -> Outcome,
//                    looks_for_certainty(step), is_certain(weights)
//     draw_start(settings, seed, weights, stop)      the weights before the first step; must be zero on entry
//     draw_start_bytes(settings)                     temporary memory that this needs
//
// and a static bytes(settings) for each class that allocates memory. A kernel takes the steps; it is a class Kernel<T>
// with
//
//     Model, Entry                       types: the family, and T or Pack<T>, a seed or a vector of them
//     name, refusal(settings), suits(settings, seeds), bytes(settings)       static: used by the table of kernels
//     looks_ahead, steps_between_checks  whether it prepares the next step's noise; how often to ask whether to stop:
//                                        1 if it may leave a step unfinished when stopped
//     Kernel(settings, workspace)        may use the recorder's memory, which is needed between steps only
//     set(lane, weights), begin(data, stop)          weights before the first step; once all are set, start
//     step(data, stop), read(lane, weights)
#pragma once

#include <algorithm>
#include <chrono>

#include "fastpolysem/infra/entry.hpp"
#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/optimizers/parameter_list.hpp"
#include "fastpolysem/training/task.hpp"

namespace fastpolysem::training {

// Everything a thread needs, created once and reused for all of its seeds.
template <class Kernel>
class Driver {
    using Model = typename Kernel::Model;
    using E = typename Kernel::Entry;
    using Settings = typename Model::Settings;
    using Parameters = typename Model::Parameters;
    using Sampler = typename Model::template Sampler<E>;
    using Recorder = typename Model::Recorder;
    using Clock = std::chrono::steady_clock;

  public:
    static constexpr int width = Entry<E>::width;  // seeds at once

    Driver(const TrainingTask<Model>& task, StopToken& stop)
        : task_(task),
          s_(task.settings),
          stop_(stop),
          weights_(s_),
          parameters_(weights_.list(s_)),
          recorder_(s_, task.metrics, stop),
          kernel_(s_, recorder_.workspace()),
          sampler_(s_, task.given, Kernel::looks_ahead, stop),
          values_(task.metrics.size()) {}
    static double bytes(const Settings& s) {
        return Parameters::bytes(s) + Recorder::bytes(s) + Kernel::bytes(s) + Sampler::bytes(s, Kernel::looks_ahead) +
               Model::draw_start_bytes(s);
    }

    // Trains seeds first ... first + count - 1 of the task, at most `width` of them.
    void run(std::int64_t first, std::int64_t count) {
        const auto begin = Clock::now();
        first_ = first;
        next_record_ = 0;
        sampler_.start(task_.seeds + first, first, count);
        for (int lane = 0; lane < width; ++lane) {  // idle lanes repeat the last seed
            if (lane < count) set_start(first + lane);
            kernel_.set(lane, weights_);
        }
        bool over[width] = {};
        std::int64_t running = count;
        for (std::int64_t step = 0;; ++step) {
            const bool end = step == s_.steps, due = is_due(step), settle = recorder_.looks_for_certainty(step);
            if (!end) sampler_.take(step);
            if (step % Kernel::steps_between_checks == 0 && stop_.stopped()) return;
            if (step == 0) kernel_.begin(sampler_.data(), stop_);
            for (int lane = 0; lane < count && (end || due || settle); ++lane) {
                if (over[lane] || !look(lane, step, end, settle)) continue;
                training::Outcome& outcome = task_.outcomes[first + lane];
                outcome.steps_taken = step;
                outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count() / double(count);
                over[lane] = true;
                --running;
            }
            next_record_ += due;
            if (running == 0) return;
            kernel_.step(sampler_.data(), stop_);
        }
    }

  private:
    void set_start(std::int64_t index) {
        clear(parameters_);  // including the padding, where a diverged seed may have left NaN
        if (task_.initial_weights.empty()) return Model::draw_start(s_, task_.seeds[index], weights_, &stop_);
        for (std::size_t p = 0; p < parameters_.size(); ++p)
            if (const auto* from = task_.initial_weights[p])
                parameters_[p].matrix->copy_from(from + index * parameters_[p].size());
    }

    bool is_due(std::int64_t step) const {
        return next_record_ < task_.record_steps.size() && task_.record_steps[next_record_] == step;
    }

    // Takes the records that are due. Returns whether this was the seed's last step, after which its results are
    // complete.
    bool look(int lane, std::int64_t step, bool end, bool settle) {
        kernel_.read(lane, weights_);
        recorder_.look_at(task_.seeds[first_ + lane]);
        const bool last = end || (settle && recorder_.is_certain(weights_));
        const std::int64_t index = first_ + lane;
        const std::size_t records = task_.record_steps.size();
        // A seed that ended early no longer changes: the remaining records repeat its last state.
        for (std::size_t r = next_record_; r < records && (last || task_.record_steps[r] == step); ++r) {
            using Data = decltype(sampler_.of_lane(lane));
            recorder_.record(weights_, last ? Data{} : sampler_.of_lane(lane), last, values_.data());
            for (std::size_t i = 0; i < values_.size(); ++i)
                task_.history[i][std::size_t(index) * records + r] = values_[i];
        }
        if (!last) return false;
        task_.outcomes[index] = recorder_.finish(weights_);
        for (std::size_t p = 0; p < task_.final_weights.size(); ++p)
            if (auto* to = task_.final_weights[p]) parameters_[p].matrix->copy_to(to + index * parameters_[p].size());
        return true;
    }

    const TrainingTask<Model>& task_;
    const Settings& s_;
    StopToken& stop_;
    Parameters weights_;  // of the seed being measured, or about to start
    ParameterList<typename Model::Number> parameters_;
    Recorder recorder_;
    Kernel kernel_;
    Sampler sampler_;
    std::vector<double> values_;  // one for each metric
    std::int64_t first_ = 0;
    std::size_t next_record_ = 0;
};

}  // namespace fastpolysem::training
