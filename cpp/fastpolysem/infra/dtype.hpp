// The number type in which a model is stored.
#pragma once

#include "fastpolysem/infra/names.hpp"

namespace fastpolysem {

enum class Dtype { float32, float64 };
template <>
struct Names<Dtype> {
    static constexpr const char* all[] = {"float32", "float64"};
};

}  // namespace fastpolysem
