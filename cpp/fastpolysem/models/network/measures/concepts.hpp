// The concepts that hold in each row, and where the loss of each concept is measured.
#pragma once

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/models/network/model/settings.hpp"

namespace fastpolysem::network {

struct Concepts {
    static constexpr std::int32_t whole_loss = -1;

    std::vector<std::int64_t> row_start = {0};  // compressed rows: the concepts that hold in a row
    std::vector<std::int32_t> index;            // ascending within a row
    std::vector<std::int32_t> output;           // for each concept: the output that carries it, or whole_loss
    // For each concept: the number of rows in which it holds, and the mean loss in them of the constant output that is
    // best over all rows. NaN if it never holds.
    std::vector<double> rows, constant_loss;

    std::ptrdiff_t count() const { return std::ptrdiff_t(output.size()); }
};

// The concepts of the task: features of elementwise targets (with signed inputs +i, then -i), classes, clauses, the
// outputs of parity (which hold in every row) and of given targets (which hold where the target is positive). Does not
// fill in `rows` and `constant_loss`.
template <class T>
Concepts own_concepts(const Settings& s, const Step<T>& step);

// The number of these concepts.
std::ptrdiff_t own_concept_count(const Settings& s);

// Fills in `rows` and `constant_loss`.
template <class T>
void complete(const Settings& s, const Step<T>& step, Concepts& concepts, StopToken& stop);

// The rows of a table that measures use: all of them, or for a data set at most this many, evenly spaced.
inline constexpr std::int64_t measured_rows = 1024;
std::vector<std::int32_t> measured_order(const Settings& s, std::int64_t rows);

// These rows of the evaluation table.
template <class T>
Step<T> measured_step(const Shared<T>& shared) {
    Step<T> step;
    step.show(*shared.evaluation);
    step.order = shared.measured->data();
    step.rows = std::ptrdiff_t(shared.measured->size());
    return step;
}

// Prepares what training measures: completes `shared`, once the tables exist.
template <class T>
void share_concepts(Settings& s, StopToken& stop);

// Targets of one row shown, in double; not for the cross-entropy.
template <class T>
void targets_of(const Settings& s, const Step<T>& step, std::ptrdiff_t b, double* to) {
    if (s.elementwise()) {
        std::fill_n(to, s.n_outputs(), 0.0);
        step.each_input(b, [&](std::int32_t i, T x) { to[i] = double(target_of(s.target, x)); });
    } else if (step.targets) {
        const T* from = step.targets->row(step.table_row(b));
        for (std::ptrdiff_t j = 0; j < s.n_outputs(); ++j) to[j] = double(from[j]);
    }
}

}  // namespace fastpolysem::network
