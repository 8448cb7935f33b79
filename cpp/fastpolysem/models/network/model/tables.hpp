// The rows that all seeds see: those of a data set, the basis, and those on which results are measured.
#pragma once

#include "fastpolysem/infra/stop_token.hpp"
#include "fastpolysem/models/network/model/parameters.hpp"

namespace fastpolysem::network {

// The targets of clauses and parity for a row, in which a feature is on if it is above 0. Writes one number per output.
template <class T, class Inputs, class Out>
void formula_targets(const Settings& s, Inputs x, Out out) {
    for (std::size_t j = 0; j < s.formulas.size(); ++j) {
        bool wanted = false;
        if (s.target == Target::parity) {
            for (const std::int64_t feature : s.formulas[j].front()) wanted ^= x(feature) > 0;
        } else {
            for (const auto& clause : s.formulas[j]) wanted |= holds(clause, x);
        }
        out(std::ptrdiff_t(j), wanted ? T(1) : T(0));
    }
}

// Targets of all rows of a step, if they are functions of its inputs but not elementwise.
template <class T>
class FormulaTargets {
  public:
    explicit FormulaTargets(const Settings& s) : s_(s), row_(std::size_t(s.n_inputs())) {}
    void operator()(const Step<T>& step, Matrix<T>& to) {
        for (std::ptrdiff_t b = 0; b < step.rows; ++b) {
            step.each_input(b, [&](std::int32_t i, T x) { row_[std::size_t(i)] = x; });
            formula_targets<T>(
                s_, [&](std::int64_t i) { return row_[std::size_t(i)]; },
                [&](std::ptrdiff_t j, T target) { to.row(b)[j] = target; });
            step.each_input(b, [&](std::int32_t i, T) { row_[std::size_t(i)] = 0; });
        }
    }

  private:
    const Settings& s_;
    std::vector<T> row_;
};

inline IndependentFeatures features_of(const Settings& s) {
    if (s.inputs != Inputs::independent) return {};
    return {s.n_inputs(), s.probability, s.magnitude, IndependentFeatures::few_words};
}

// Rows of sampled inputs.
template <class T>
void draw_rows(const Settings& s, const IndependentFeatures& features, const random::StreamPosition& from,
               const random::StreamPosition& magnitudes, std::int64_t rows, SparseRows<T>& out) {
    if (s.inputs == Inputs::independent) features.draw(from, magnitudes, rows, out);
    else draw_block_rows(s.n_inputs(), s.blocks, s.active, from, rows, out);
}

// Share of non-zero inputs from which dense products, with packed weights, take less time than sparse ones.
inline constexpr double dense_from = 0.4;
inline bool samples_densely(const Settings& s) {
    return s.sampled() && s.active_per_row() >= dense_from * double(s.n_inputs());
}

template <class T>
void make_dense(const SparseRows<T>& from, Matrix<T>& to) {
    to.clear();
    for (std::ptrdiff_t b = 0; b < to.rows; ++b) {
        const auto begin = std::size_t(from.row_start[std::size_t(b)]);
        const auto end = std::size_t(from.row_start[std::size_t(b) + 1]);
        T* const row = to.row(b);
        if (std::ptrdiff_t(end - begin) == to.columns) std::copy_n(from.value.data() + begin, to.columns, row);
        else
            for (auto e = begin; e < end; ++e) row[from.feature[e]] = from.value[e];
    }
}

// Adds targets that the settings require and the table lacks, and converts to dense inputs where that is faster.
template <class T>
void complete(const Settings& s, Table<T>& table) {
    Step<T> step;
    step.show(table);
    if (s.target == Target::clauses || s.target == Target::parity) {
        table.targets = Matrix<T>(table.rows, s.n_outputs());
        FormulaTargets<T> targets(s);
        targets(step, table.targets);
    }
    const double numbers = double(table.rows) * double(s.n_inputs());
    if (!table.dense.empty() || double(table.sparse.row_start.back()) < dense_from * numbers) return;
    table.dense = Matrix<T>(table.rows, s.n_inputs());
    make_dense(table.sparse, table.dense);
    table.sparse = {};
}

// Fills in what the data set did not put into `shared`, in the settings' number type.
template <class T>
void make_shared_tables(Settings& s, StopToken& stop) {
    Shared<T>& shared = s.shared<T>();
    if (s.inputs == Inputs::basis) {
        auto table = std::make_shared<Table<T>>();
        table->rows = s.n_inputs();
        for (std::ptrdiff_t i = 0; i < table->rows; ++i) {
            table->sparse.feature.push_back(std::int32_t(i));
            table->sparse.value.push_back(T(1));
            table->sparse.row_start.push_back(i + 1);
        }
        complete(s, *table);
        shared.data = table;
    }
    shared.evaluation = shared.data;
    if (s.sampled()) {
        auto table = std::make_shared<Table<T>>();
        table->rows = evaluation_rows;
        draw_rows(s, features_of(s), input_stream(s, evaluation_seed, evaluation_inputs_kind, 0, &stop),
                  input_stream(s, evaluation_seed, evaluation_magnitudes_kind, 0, &stop), evaluation_rows,
                  table->sparse);
        if (!stop.stopped()) complete(s, *table);
        shared.evaluation = table;
    }
}

// Memory of these tables, independent of the number of threads.
template <class T>
double shared_bytes(const Settings& s) {
    const Shared<T>& shared = s.shared<T>();
    double sum = 0;
    if (s.inputs == Inputs::dataset) {
        sum += shared.data->bytes() + (shared.held_out ? shared.held_out->bytes() : 0);
    } else {
        const double rows = double(s.inputs == Inputs::basis ? s.n_inputs() : evaluation_rows);
        const double active = s.inputs == Inputs::basis ? 1 : s.active_per_row();
        sum += rows * (sizeof(std::int64_t) + 1.5 * active * (sizeof(std::int32_t) + sizeof(T)));
        if (active >= dense_from * double(s.n_inputs())) sum += Matrix<T>::bytes(std::int64_t(rows), s.n_inputs());
        if (!s.elementwise()) sum += Matrix<T>::bytes(std::int64_t(rows), s.n_outputs());
    }
    return sum;
}

// The classes of the training rows as a seed sees them: each is replaced by a different one with the probability of
// label noise.
inline void draw_labels(const Settings& s, std::uint64_t seed, const std::vector<std::int32_t>& given,
                        std::vector<std::int32_t>& labels, StopToken* stop) {
    const auto limit = std::uint64_t(s.label_noise * 0x1p32);
    const auto others = std::uint64_t(s.n_outputs() - 1);
    bool replaced = false;
    labels = given;
    random::for_each_element(
        input_stream(s, seed, labels_kind, 0, stop), 2 * std::int64_t(given.size()), [](const auto& w) { return w; },
        [&](std::int64_t e, std::uint32_t word) {
            std::int32_t& label = labels[std::size_t(e / 2)];
            if (e % 2 == 0) {
                replaced = word < limit;
            } else if (replaced) {
                const auto other = std::int32_t((word * others) >> 32);
                label = other + (other >= label);
            }
        });
}

}  // namespace fastpolysem::network
