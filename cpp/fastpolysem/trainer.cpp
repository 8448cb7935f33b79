#include "trainer.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "generic.hpp"
#include "initial.hpp"
#include "kernels/lanes.hpp"
#include "kernels/sparse.hpp"
#include "noise.hpp"

namespace fastpolysem {
namespace {

std::atomic<bool> forked{false};

#if defined(__unix__) || defined(__APPLE__)
// OpenMP's pool does not survive a fork: a child that used it would wait forever.
const int watch_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

template <class T>
WeightView<T> weight_view(const Parameters<T>& w) {
    return {w.encoder.row(0), w.decoder.empty() ? nullptr : w.decoder.row(0), w.encoder.rows, w.encoder.columns,
            w.encoder.stride};
}

// The draws of one seed's steps: the caller's, or the seed's own.
template <class T>
class Draws {
  public:
    Draws(const TrainingTask& task, Pulse& pulse) : task_(task), s_(task.settings), pulse_(pulse) {
        if (s_.noise != Noise::none || task.noise) {
            noise_ = Matrix<T>(rows(), s_.n_hidden);
            next_noise_ = Matrix<T>(rows(), s_.n_hidden);
        }
        if (s_.dropout != 0) dropout_ = Matrix<T>(rows(s_.dropout_sharing), s_.n_hidden);
    }
    // Steps are taken in order; the noise is drawn one step ahead, for kernels that already prepare the next step.
    void take(std::int64_t index, std::int64_t step) {
        if (s_.sampled()) draw_batch(s_, task_.seeds[index], std::uint32_t(step), batch_, &pulse_);
        if (!dropout_.empty())
            draw_dropout<T>(
                s_, task_.seeds[index], std::uint32_t(step), dropout_.rows,
                [&](std::int64_t row, std::int64_t column) -> T& { return dropout_.row(row)[column]; }, &pulse_);
        if (noise_.empty()) return;
        if (step == 0) draw(index, 0, noise_);
        else std::swap(noise_, next_noise_);
        if (step + 1 < s_.steps) draw(index, step + 1, next_noise_);
    }
    const SparseBatch* batch() const { return s_.sampled() ? &batch_ : s_.fixed_batch.get(); }
    const Matrix<T>* noise() const { return noise_.empty() ? nullptr : &noise_; }
    const Matrix<T>* dropout() const { return dropout_.empty() ? nullptr : &dropout_; }
    // What the step shows and adds to the model.
    StepData<T> data(std::int64_t step) const { return {batch(), noise(), dropout(), s_.l1_at(step)}; }
    const Matrix<T>* next_noise() const { return noise_.empty() ? nullptr : &next_noise_; }

  private:
    void draw(std::int64_t index, std::int64_t step, Matrix<T>& noise) {
        if (task_.noise) {
            const std::int64_t set = task_.noise_sets == 1 ? 0 : index;
            noise.copy_from(static_cast<const T*>(task_.noise) + (set * s_.steps + step) * rows() * s_.n_hidden);
        } else {
            draw_noise<T>(
                s_, task_.seeds[index], std::uint32_t(step), rows(),
                [&](std::int64_t row, std::int64_t column) -> T& { return noise.row(row)[column]; }, &pulse_);
        }
    }
    std::int64_t rows(NoiseSharing sharing) const { return sharing == NoiseSharing::step ? 1 : s_.rows(); }
    std::int64_t rows() const { return rows(s_.noise_sharing); }
    const TrainingTask& task_;
    const Settings& s_;
    Pulse& pulse_;
    SparseBatch batch_;
    Matrix<T> noise_, next_noise_, dropout_;
};

// Looks at a model: before the first step, at records, after the last.
template <class T>
class Judge {
  public:
    Judge(const TrainingTask& task, Pulse& pulse)
        : weights(task.settings), pass(task.settings), task_(task), s_(task.settings), pulse_(pulse) {}

    void set_start(std::int64_t index) {
        weights.clear();  // the padding too: a diverged seed may have left NaN there
        if (!task_.encoder) return draw_start(s_, task_.seeds[index], weights, &pulse_);
        const std::int64_t size = s_.n_features * s_.n_hidden;
        weights.encoder.copy_from(static_cast<const T*>(task_.encoder) + index * size);
        if (!s_.tied) weights.decoder.copy_from(static_cast<const T*>(task_.decoder) + index * size);
        if (s_.bias && task_.bias) weights.bias.copy_from(static_cast<const T*>(task_.bias) + index * s_.n_features);
    }

    bool is_certified() const { return certified(weight_view(weights), s_.low); }

    // step: the data of the step that follows; last: none does, so there is no objective.
    void record(std::int64_t index, std::size_t at, bool last, const StepData<T>& step) {
        const auto view = weight_view(weights);
        const auto n = norms(view);
        Counts c;
        for (const Metric metric : task_.metrics)
            if (metric >= Metric::polysemantic && metric <= Metric::unrepresented) {
                c = count(view, s_.low, s_.high);
                break;
            }
        for (std::size_t i = 0; i < task_.metrics.size(); ++i) {
            double value = 0;
            switch (task_.metrics[i]) {
                case Metric::objective:
                    value = last ? std::numeric_limits<double>::quiet_NaN() : objective(n.l1, step);
                    break;
                case Metric::loss:
                    value = clean_loss();
                    break;
                case Metric::residual:
                    pass(weights, residual_step(), pulse_);
                    value = largest_gradient();
                    break;
                case Metric::polysemantic:
                    value = c.polysemantic;
                    break;
                case Metric::benign:
                    value = double(c.benign);
                    break;
                case Metric::malign:
                    value = double(c.malign);
                    break;
                case Metric::signed_slots:
                    value = c.signed_slots;
                    break;
                case Metric::signed_slots_benign:
                    value = c.signed_slots_benign;
                    break;
                case Metric::dead:
                    value = c.dead;
                    break;
                case Metric::unrepresented:
                    value = c.unrepresented;
                    break;
                case Metric::nonzeros:
                    value = double(n.nonzeros);
                    break;
                case Metric::l1_norm:
                    value = n.l1;
                    break;
                case Metric::fourth_norm:
                    value = n.fourth;
                    break;
            }
            task_.history[i][std::size_t(index) * task_.record_steps.size() + at] = value;
        }
    }

    void finish(std::int64_t index, std::int64_t steps, double seconds) {
        Outcome& o = task_.outcomes[index];
        const auto view = weight_view(weights);
        const auto n = norms(view);
        // On the basis batch one pass gives the loss and what the residual is taken from.
        const bool together = !s_.fixed_batch;
        o.loss = together ? pass(weights, residual_step(), pulse_, true) : clean_loss();
        o.diverged = !n.finite || !std::isfinite(o.loss) || !bias_finite();
        o.nonzeros = n.nonzeros;
        if (o.diverged) {
            o.counts = {-1, -1, -1, -1, -1, -1, -1};
            o.loss = o.residual = std::numeric_limits<double>::quiet_NaN();
        } else {
            o.counts = count(view, s_.low, s_.high);
            if (!together) pass(weights, residual_step(), pulse_);
            o.residual = largest_gradient();
        }
        o.steps_taken = steps;
        o.seconds = seconds;
        const std::int64_t size = s_.n_features * s_.n_hidden;
        if (task_.final_encoder) weights.encoder.copy_to(static_cast<T*>(task_.final_encoder) + index * size);
        if (task_.final_decoder) weights.decoder.copy_to(static_cast<T*>(task_.final_decoder) + index * size);
        if (task_.final_bias) weights.bias.copy_to(static_cast<T*>(task_.final_bias) + index * s_.n_features);
    }

    Parameters<T> weights;
    GramPass<T> pass;

  private:
    // What the step that follows descends on.
    double objective(double weight_l1, const StepData<T>& step) {
        double sum = pass(weights, step, pulse_, true, false);
        if (step.l1 != 0)
            sum += s_.l1_target == L1Target::weights
                       ? step.l1 * weight_l1
                       : pass.activation_l1(weights.encoder, step.batch, step.l1, pulse_, false);
        if (s_.repulsion != 0) sum += pass.repulsion(weights);
        return sum;
    }

    double clean_loss() { return pass(weights, {}, pulse_, true, false); }

    // The residual is that of the objective without noise and dropout on the basis batch, or on a fixed one, with the
    // l1 of the end.
    StepData<T> residual_step() const { return {s_.fixed_batch.get(), nullptr, nullptr, s_.final_l1()}; }

    // Over the non-zero weights, after a pass.
    double largest_gradient() {
        const T l1 = T(s_.l1_target == L1Target::weights ? s_.final_l1() : 0);
        double largest = 0;
        const auto scan = [&](const Matrix<T>& w, const Matrix<T>& g) {
            for (std::ptrdiff_t i = 0; i < w.rows; ++i)
                for (std::ptrdiff_t k = 0; k < w.columns; ++k) {
                    const T x = w.row(i)[k];
                    if (x != 0) largest = std::max(largest, std::abs(double(g.row(i)[k] + (x > 0 ? l1 : -l1))));
                }
        };
        scan(weights.encoder, pass.gradient.encoder);
        if (!s_.tied) scan(weights.decoder, pass.gradient.decoder);
        return largest;
    }

    bool bias_finite() const {
        for (std::ptrdiff_t j = 0; j < weights.bias.columns; ++j)
            if (!std::isfinite(weights.bias.row(0)[j])) return false;
        return true;
    }

    const TrainingTask& task_;
    const Settings& s_;
    Pulse& pulse_;
};

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Certificates are looked for at every 64th step, in every kernel alike, once l1 no longer changes.
bool look_for_certificate(const Settings& s, std::int64_t step) {
    return s.stop == Stop::certified && step % 64 == 0 && step >= s.l1_constant_from();
}

// Everything a thread needs, made once and used for all of its seeds.
template <class T, class Kernel>
class Worker {
  public:
    static constexpr std::int64_t seeds_at_once = 1;

    Worker(const TrainingTask& task, Pulse& pulse)
        : task_(task),
          s_(task.settings),
          pulse_(pulse),
          judge_(task, pulse),
          kernel_(s_, judge_.pass),
          draws_(task, pulse) {}

    void run(std::int64_t index, std::int64_t) {
        const auto begin = Clock::now();
        judge_.set_start(index);
        std::size_t next_record = 0;
        std::int64_t step = 0;
        for (;; ++step) {
            const bool end = step == s_.steps,
                       due = next_record < task_.record_steps.size() && task_.record_steps[next_record] == step;
            const bool look = look_for_certificate(s_, step);
            if (step > 0 && (end || due || look)) kernel_.read(judge_.weights);
            const bool last = end || (look && judge_.is_certified());
            if (!last) draws_.take(index, step);
            if (pulse_.stopped()) return;
            if (step == 0) kernel_.start(judge_.weights, last ? nullptr : draws_.noise(), pulse_);
            // A seed that ended early stays as it is: its last state is what is still to be recorded.
            while (next_record < task_.record_steps.size() && (task_.record_steps[next_record] == step || last))
                judge_.record(index, next_record++, last, draws_.data(step));
            if (last) break;
            if constexpr (std::is_same_v<Kernel, GenericKernel<T>>)
                kernel_.step(draws_.batch(), draws_.noise(), draws_.next_noise(), pulse_, draws_.dropout());
            else kernel_.step(draws_.batch(), draws_.noise(), draws_.next_noise(), pulse_);
        }
        judge_.finish(index, step, seconds_since(begin));
    }

  private:
    const TrainingTask& task_;
    const Settings& s_;
    Pulse& pulse_;
    Judge<T> judge_;
    Kernel kernel_;
    Draws<T> draws_;
};

// The same for a group of seeds, one in each lane.
template <class T>
class LanesWorker {
  public:
    static constexpr std::int64_t seeds_at_once = LanesKernel<T>::width;

    LanesWorker(const TrainingTask& task, Pulse& pulse)
        : task_(task), s_(task.settings), pulse_(pulse), judge_(task, pulse), kernel_(s_) {
        if (s_.noise != Noise::none || task.noise)
            noise_ = Matrix<T>(s_.noise_sharing == NoiseSharing::step ? 1 : s_.n_features, s_.n_hidden);
    }

    void run(std::int64_t first, std::int64_t count) {
        const auto begin = Clock::now();
        std::uint64_t seeds[seeds_at_once];  // the last group's idle lanes repeat its first seed
        for (std::int64_t lane = 0; lane < seeds_at_once; ++lane)
            seeds[lane] = task_.seeds[first + (lane < count ? lane : 0)];
        kernel_.start(seeds);
        for (std::int64_t lane = 0; lane < count; ++lane) {
            judge_.set_start(first + lane);
            kernel_.set(int(lane), judge_.weights);
        }
        std::size_t next_record = 0;
        bool over[seeds_at_once] = {};
        std::int64_t running = count;
        for (std::int64_t step = 0; running > 0; ++step) {
            const bool end = step == s_.steps,
                       due = next_record < task_.record_steps.size() && task_.record_steps[next_record] == step;
            const bool look = look_for_certificate(s_, step);
            if (!end) draw(first, count, step);
            for (std::int64_t lane = 0; lane < count && (end || due || look); ++lane) {
                if (over[lane]) continue;
                kernel_.read(int(lane), judge_.weights);
                const bool last = end || (look && judge_.is_certified());
                if (!noise_.empty() && due && !last) kernel_.read_noise(int(lane), noise_);
                for (std::size_t r = next_record;
                     r < task_.record_steps.size() && (task_.record_steps[r] == step || last); ++r)
                    judge_.record(first + lane, r, last,
                                  {nullptr, noise_.empty() ? nullptr : &noise_, nullptr, s_.l1_at(step)});
                if (!last) continue;
                judge_.finish(first + lane, step, seconds_since(begin) / double(count));
                over[lane] = true;
                --running;
            }
            next_record += due;
            if (running == 0) return;
            kernel_.step();
            if (step % 16 == 0 && pulse_.stopped()) return;  // a step takes a microsecond
        }
    }

  private:
    void draw(std::int64_t first, std::int64_t count, std::int64_t step) {
        if (noise_.empty()) return;
        if (!task_.noise) return kernel_.draw(std::uint32_t(step));
        for (std::int64_t lane = 0; lane < count; ++lane) {
            const std::int64_t set = task_.noise_sets == 1 ? 0 : first + lane;
            noise_.copy_from(static_cast<const T*>(task_.noise) + (set * s_.steps + step) * noise_.rows * s_.n_hidden);
            kernel_.give_noise(int(lane), noise_);
        }
    }

    const TrainingTask& task_;
    const Settings& s_;
    Pulse& pulse_;
    Judge<T> judge_;
    LanesKernel<T> kernel_;
    Matrix<T> noise_;  // of one lane
};

// Seeds are handed out as threads become free, so a slow one holds up nobody.
template <class W>
bool run_all(const TrainingTask& task, Stopper& stopper) {
    std::atomic<std::int64_t> next{0};
    std::mutex lock;  // of what follows
    std::condition_variable all_done;
    int working = 1;
    std::exception_ptr failure;
    const auto work = [&](bool caller) {
        Pulse pulse(stopper, caller);
        try {
            W worker(task, pulse);
            for (std::int64_t i; !pulse.stopped() && (i = next.fetch_add(W::seeds_at_once)) < task.count;) {
                const std::int64_t count = std::min(W::seeds_at_once, task.count - i);
                worker.run(i, count);
                if (!stopper.stop) stopper.done += count;
            }
        } catch (...) {
            const std::lock_guard<std::mutex> hold(lock);
            failure = std::current_exception();
            stopper.stop = true;
        }
        std::unique_lock<std::mutex> hold(lock);
        if (--working == 0) all_done.notify_one();
        const auto none_left = [&working] { return working == 0; };
        while (caller && !all_done.wait_for(hold, std::chrono::milliseconds(10), none_left)) {
            hold.unlock();  // the others still compute: go on answering signals
            pulse.stopped();
            hold.lock();
        }
    };
    const std::int64_t groups = (task.count + W::seeds_at_once - 1) / W::seeds_at_once;
    const int threads = int(std::min<std::int64_t>(forked ? 1 : task.threads, groups));
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        {
#pragma omp single
            working = omp_get_num_threads();
            work(omp_get_thread_num() == 0);
        }
    } else
#endif
    {
        (void)threads;
        work(true);
    }
    if (failure) std::rethrow_exception(failure);
    return !stopper.stop;
}

template <class T>
bool run_kernel(const TrainingTask& task, Stopper& stopper) {
    if (task.kernel == "lanes") return run_all<LanesWorker<T>>(task, stopper);
    if (task.kernel == "sparse") return run_all<Worker<T, SparseKernel<T>>>(task, stopper);
    if (task.kernel == "dense") return run_all<Worker<T, DenseKernel<T>>>(task, stopper);
    return run_all<Worker<T, GenericKernel<T>>>(task, stopper);
}

}  // namespace

// Entries of G and W beyond which a vector of models no longer fits the caches.
constexpr std::int64_t lanes_limit = 1 << 14;

// Up to this many, and with at least so many seeds to fill the lanes, it is the fastest.
constexpr std::int64_t lanes_best = 1 << 11, lanes_seeds = 4;

std::string kernel_refusal(const Settings& s, const std::string& kernel) {
    if (kernel == "dense" || kernel == "sparse" || kernel == "lanes") {
        if (s.dropout != 0) return "dropout makes the outputs no function of W W^T; use 'generic'";
        if (s.repulsion != 0) return "repulsion needs whole columns of the weights; use 'generic'";
    }
    if (kernel == "dense") {
        if (s.noise_sharing == NoiseSharing::input)
            return "noise_sharing='input' gives each input its own noise; use 'generic'";
        if (s.l1 != 0 && s.l1_target == L1Target::activations)
            return "l1_target='activations' is not a function of W W^T; use 'generic'";
        return "";
    }
    if (kernel == "sparse") {
        if (s.l1_update != L1Update::orthant) return "only l1_update='orthant' makes weights exactly zero; use 'dense'";
        if (!s.tied) return "it is for tied models; use 'dense'";
        return kernel_refusal(s, "dense");
    }
    if (kernel == "lanes") {
        if (!s.basis()) return "it takes the basis batch as inputs only; use 'dense' or 'generic'";
        if (s.l1 != 0 && s.l1_target == L1Target::activations)
            return "l1_target='activations' is not a function of W W^T; use 'generic'";
        if (s.n_features * (s.n_hidden + s.n_features) > lanes_limit)
            return "it is for small models, n_features * (n_features + n_hidden) up to " + std::to_string(lanes_limit);
        return "";
    }
    if (kernel == "auto" || kernel == "generic") return "";
    return "there is no kernel '" + kernel + "'";
}

std::string best_kernel(const Settings& s, std::int64_t seeds) {
    const bool small = s.n_features * (s.n_features + s.n_hidden) <= lanes_best;
    if (small && seeds >= lanes_seeds && kernel_refusal(s, "lanes").empty()) return "lanes";
    for (const char* kernel : {"sparse", "dense"})
        if (kernel_refusal(s, kernel).empty()) return kernel;
    return "generic";
}

std::int64_t model_bytes(const Settings& s) {
    // In double: sizes that overflow an integer must be refused, not wrapped.
    const double n = double(s.n_features), m = double(Matrix<float>::padded(s.n_hidden)),
                 wide = double(Matrix<float>::padded(s.n_features));
    const double rows = double(s.rows());
    const int matrices = s.tied ? 1 : 2, copies = 3 + (s.l1_update == L1Update::orthant ? 2 : 1) *
                                                          (1 + (s.is_adam() || s.has_momentum()) + s.is_adam());
    double entries = matrices * copies * n * m + 6 * n * wide + n * 256;
    if (s.noise_sharing == NoiseSharing::input) entries += rows * (2 * m + 2 * wide + 256);
    if (s.dropout != 0) entries += rows * (2 * m + 2 * wide + 256);
    double bytes = entries * (s.dtype == Dtype::float32 ? 4 : 8);
    if (s.inputs == Inputs::independent) bytes += rows * n * s.probability * 13;
    if (s.inputs == Inputs::correlated_blocks) bytes += rows * (double(s.active) * 12 + 8);
    if (s.init == Init::orthogonal) bytes += 8 * n * m;
    return std::int64_t(std::min(bytes, 0x1p62));
}

bool train(const TrainingTask& task, std::function<bool(std::int64_t)> keep_going) {
    Stopper stopper;
    stopper.keep_going = std::move(keep_going);
    if (task.count == 0) return true;
    return task.settings.dtype == Dtype::float32 ? run_kernel<float>(task, stopper) : run_kernel<double>(task, stopper);
}

int default_threads() {
#ifdef _OPENMP
    return forked ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

}  // namespace fastpolysem
