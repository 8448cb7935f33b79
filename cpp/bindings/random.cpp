// The generator and its streams, for checks against other implementations.
#include "fastpolysem/random/streams.hpp"

#include <pybind11/stl.h>

#include "module.hpp"

namespace fastpolysem::bindings {

namespace py = pybind11;
using namespace pybind11::literals;

void add_random(py::module_& m) {
    m.def("shape_word", &random::shape_word, "n"_a, "m"_a);
    m.def(
        "philox",
        [](std::array<std::uint32_t, 4> counter, std::uint64_t key) {
            using random::Word;
            const auto w = random::philox(
                {Word::all(counter[0]), Word::all(counter[1]), Word::all(counter[2]), Word::all(counter[3])},
                Word::all(std::uint32_t(key)), Word::all(std::uint32_t(key >> 32)));
            return std::array<std::uint32_t, 4>{w[0][0], w[1][0], w[2][0], w[3][0]};
        },
        "counter"_a, "key"_a);
}

}  // namespace fastpolysem::bindings
