// Measures a model: before the first step, at recorded steps, and after the last. The driver owns the weights.
#pragma once

#include "fastpolysem/models/network/measures/outcome.hpp"
#include "fastpolysem/models/network/measures/use.hpp"
#include "fastpolysem/models/network/model/sampler.hpp"
#include "fastpolysem/models/network/passes/rows_pass.hpp"

namespace fastpolysem::network {

template <class T>
class Recorder {
  public:
    Recorder(const Settings& s, const std::vector<Metric>& metrics, StopToken& stop);
    static double bytes(const Settings& s);

    struct Nothing {};
    Nothing workspace() const { return {}; }  // kernels have their own

    bool looks_for_certainty(std::int64_t) const { return false; }
    bool is_certain(const Parameters<T>&) const { return false; }

    void look_at(std::uint64_t seed);
    // One value per metric. step: the draws of the next step; last: there is no next step and therefore no objective.
    void record(const Parameters<T>& w, const StepOf<T>& step, bool last, double* values);
    Outcome finish(const Parameters<T>& w);

  private:
    struct Measured {
        double loss, accuracy;
    };
    const Table<T>& evaluation() const { return *s_.template shared<T>().evaluation; }

    Measured measure(const Parameters<T>& w, const Step<T>& step, bool want_gradient);
    Measured evaluate(const Parameters<T>& w, bool want_gradient);
    Measured evaluate_held_out(const Parameters<T>& w);
    double objective(const Parameters<T>& w, const Step<T>& step);
    void look_at_hidden(std::size_t l, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T> a);
    void count_right(const Step<T>& step, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T> y);
    void count_dead(Outcome& o) const;
    void measure_use(const Parameters<T>& w, Outcome& o);
    double largest_gradient(const Parameters<T>& w) const;

    const Settings s_;  // with the scale of the evaluation rows
    const double training_scale_;
    const std::vector<Metric>& metrics_;
    StopToken& stop_;
    RowsPass<T> pass_;
    Use<T> use_;
    std::uint64_t seed_ = 0, labels_seed_ = 0;
    std::vector<std::int32_t> labels_;       // with label noise: those of labels_seed_
    std::vector<std::vector<T>> first_row_;  // act(Z) of each hidden layer
    std::vector<std::vector<char>> alive_;
    std::int64_t right_ = 0, decisions_ = 0;
    std::vector<double> target_;
};

extern template class Recorder<float>;
extern template class Recorder<double>;

}  // namespace fastpolysem::network
