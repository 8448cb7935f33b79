// Conversion of networks and rows passed from Python.
#pragma once

#include "arrays.hpp"
#include "fastpolysem/infra/float_environment.hpp"
#include "fastpolysem/models/network/model/tables.hpp"

namespace fastpolysem::bindings {

// A stack of models, with arrays by name; each model is read into the same storage.
template <class T>
class Models {
  public:
    Models(const network::Settings& s, const py::dict& given) : weights(s), list_(weights.list(s)) {
        for (const Parameter<T>& p : list_) {
            const auto array = py::reinterpret_borrow<py::array>(given[py::str(p.name)]);
            data_.push_back(entries<T>(array));
            count = array.shape(0);
        }
    }
    void read(std::int64_t i) {
        for (std::size_t p = 0; p < list_.size(); ++p) list_[p].matrix->copy_from(data_[p] + i * list_[p].size());
    }

    network::Parameters<T> weights;
    std::int64_t count = 0;

  private:
    ParameterList<T> list_;
    std::vector<const T*> data_;
};

// Targets in double, rounded to T.
template <class T>
Matrix<T> targets_from(const py::object& targets, std::ptrdiff_t rows, std::ptrdiff_t outputs) {
    const double* from = entries<double>(targets);
    Matrix<T> to(rows, outputs);
    for (std::ptrdiff_t b = 0; b < rows; ++b) std::copy_n(from + b * outputs, outputs, to.row(b));
    return to;
}

// (row_start, feature, value in double)
template <class T>
network::Table<T> batch_table(const py::tuple& batch) {
    const FloatEnvironment environment;  // numbers are rounded
    const auto starts = batch[0].cast<Array<std::int64_t>>();
    const auto features = batch[1].cast<Array<std::int32_t>>();
    const auto values = batch[2].cast<Array<double>>();
    network::Table<T> table;
    table.rows = starts.size() - 1;
    table.sparse.row_start.assign(starts.data(), starts.data() + starts.size());
    table.sparse.feature.assign(features.data(), features.data() + features.size());
    table.sparse.value.assign(values.data(), values.data() + values.size());
    return table;
}

// Classes for the cross-entropy; otherwise targets that replace the one in the settings, or None.
template <class T>
void read_targets(const py::object& targets, network::Settings& s, network::Table<T>& table) {
    const FloatEnvironment environment;
    if (s.loss == network::Loss::cross_entropy) {
        const auto* labels = entries<std::int32_t>(targets);
        table.labels.assign(labels, labels + table.rows);
    } else if (!targets.is_none()) {
        s.target = network::Target::given;
        table.targets = targets_from<T>(targets, table.rows, s.n_outputs());
    }
}

}  // namespace fastpolysem::bindings
