// A model's parameters as a list, for code that treats them alike: optimiser, driver, bindings.
#pragma once

#include <string>
#include <vector>

#include "fastpolysem/infra/entry.hpp"

namespace fastpolysem {

// Kernels use individual names, as in the equations.
template <class E>
struct Parameter {
    std::string name;
    Matrix<E>* matrix;             // empty until its model is allocated
    std::ptrdiff_t rows, columns;  // of the parameter; a vector has one row, and shape (columns,) outside the core
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
