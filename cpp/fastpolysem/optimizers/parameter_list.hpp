// A model's parameters as a list, for whoever treats them alike: optimiser, driver, binding.
#pragma once

#include <string>
#include <vector>

#include "fastpolysem/infra/entry.hpp"

namespace fastpolysem {

// Kernels keep names of their own, as the equations do.
template <class E>
struct Parameter {
    std::string name;
    Matrix<E>* matrix;             // of no size before its model has any
    std::ptrdiff_t rows, columns;  // of the model's; a vector has one row, and is (columns,) outside of the core
    bool is_vector;
    bool penalised;  // by l1; biases are not
    std::ptrdiff_t size() const { return rows * columns; }
};

template <class E>
using ParameterList = std::vector<Parameter<E>>;

template <class E>
void clear(const ParameterList<E>& list) {
    for (const Parameter<E>& p : list) p.matrix->clear();
}

}  // namespace fastpolysem
