// Enumerations whose names are visible in Python.
#pragma once

#include <stdexcept>
#include <string>

namespace fastpolysem {

// Names<E>::all: the names of an enumeration, in the order of its enumerators.
template <class E>
struct Names;

template <class E>
const char* name_of(E value) {
    return Names<E>::all[int(value)];
}

// `what` names the setting in the error.
template <class E>
E parse(const char* what, const std::string& name) {
    std::string allowed;
    int i = 0;
    for (const char* candidate : Names<E>::all) {
        if (name == candidate) return E(i);
        allowed += std::string(i++ ? ", '" : "'") + candidate + "'";
    }
    throw std::invalid_argument(std::string(what) + " must be one of " + allowed + ", got '" + name + "'");
}

}  // namespace fastpolysem
