// Rows of inputs with their targets: tables from which steps present rows, and what a step presents.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fastpolysem/infra/matrix.hpp"

namespace fastpolysem::network {

// Compressed sparse rows; features ascend within a row, no value is zero. Vectors may be longer than the part in use.
template <class T>
struct SparseRows {
    std::vector<std::int64_t> row_start = {0};
    std::vector<std::int32_t> feature;
    std::vector<T> value;
};

// Rows that all seeds see. Inputs are dense or sparse. Targets are stored where they are not an elementwise function of
// the inputs, and classes with the cross-entropy.
template <class T>
struct Table {
    std::ptrdiff_t rows = 0;
    Matrix<T> dense;  // empty: sparse
    SparseRows<T> sparse;
    Matrix<T> targets;
    std::vector<std::int32_t> labels;

    double bytes() const {
        return double(dense.buffer.size() + targets.buffer.size() + sparse.value.capacity()) * sizeof(T) +
               double(sparse.feature.capacity() + labels.capacity()) * sizeof(std::int32_t) +
               double(sparse.row_start.capacity()) * sizeof(std::int64_t);
    }
};

struct Concepts;

// Data shared by the threads of a call.
template <class T>
struct Shared {
    std::shared_ptr<const Table<T>> data;        // of the data set, or of the basis
    std::shared_ptr<const Table<T>> evaluation;  // on which results are measured
    std::shared_ptr<const Table<T>> held_out;    // or null
    // The evaluation rows on which the use of neurons is measured, and the concepts that hold in them.
    std::shared_ptr<const std::vector<std::int32_t>> measured;
    std::shared_ptr<const Concepts> concepts;
};

template <class T>
class Disturbances;

// What one step presents, and its noise and dropout. Does not own the tables; inputs are either dense or sparse.
template <class T>
struct Step {
    std::ptrdiff_t rows = 0;                // shown
    const std::int32_t* order = nullptr;    // their indices in the tables, in the order shown; null: 0, 1, ...
    const Matrix<T>* dense = nullptr;       // inputs
    const SparseRows<T>* sparse = nullptr;  // inputs
    const Matrix<T>* targets = nullptr;     // where the settings' target is not elementwise
    const std::int32_t* labels = nullptr;   // cross-entropy: a class for each row of the tables
    // For each hidden layer one row per row shown, or one row for all; null or missing: none.
    std::vector<const Matrix<T>*> noise, dropout;
    const Disturbances<T>* drawn = nullptr;  // instead of these, the draws of a seed's step: see model/disturbances
    double l1_factor = 1;                    // the schedule's
    std::int64_t index = 0;                  // of the step

    std::ptrdiff_t table_row(std::ptrdiff_t b) const { return order ? order[b] : b; }
    const Matrix<T>* noise_of(std::size_t l) const;
    const Matrix<T>* dropout_of(std::size_t l) const;
    bool has_noise(std::size_t l) const;
    bool has_dropout(std::size_t l) const;
    // All rows of a table, or those of `order`.
    void show(const Table<T>& table) {
        rows = table.rows;
        dense = table.dense.empty() ? nullptr : &table.dense;
        sparse = dense ? nullptr : &table.sparse;
        targets = table.targets.empty() ? nullptr : &table.targets;
        labels = table.labels.empty() ? nullptr : table.labels.data();
    }
    // Calls use(feature, value) for the non-zero inputs of row b, features ascending.
    template <class Use>
    void each_input(std::ptrdiff_t b, Use use) const {
        const std::ptrdiff_t row = table_row(b);
        if (sparse) {
            const auto end = std::size_t(sparse->row_start[std::size_t(row) + 1]);
            for (auto e = std::size_t(sparse->row_start[std::size_t(row)]); e < end; ++e)
                use(sparse->feature[e], sparse->value[e]);
        } else {
            const T* x = dense->row(row);
            for (std::ptrdiff_t i = 0; i < dense->columns; ++i)
                if (x[i] != 0) use(std::int32_t(i), x[i]);
        }
    }
};

}  // namespace fastpolysem::network
