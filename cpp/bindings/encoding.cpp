// The dynamics of a single encoding.
#include "fastpolysem/encoding/encoding.hpp"

#include "arrays.hpp"
#include "computation.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

py::array encoding_start(std::uint64_t seed, std::int64_t m, double deviation) {
    Array<float> w(m);
    float* to = w.mutable_data();
    compute([&](StopToken&) { draw_encoding(seed, m, float(deviation), to); });
    return w;
}

py::dict encoding_run(const Array<float>& start, double l1, double step, double end, const std::vector<double>& times) {
    std::vector<EncodingRecord> records;
    std::vector<float> weights(start.data(), start.data() + start.size());
    compute([&](StopToken& stop) { records = run_encoding(std::move(weights), l1, step, end, times, stop); });
    py::dict result;
    const auto column = [&](const char* name, auto EncodingRecord::* member) {
        result[name] = column_of(records, [member](const EncodingRecord& r) { return r.*member; });
    };
    column("support", &EncodingRecord::support);
    column("l1_norm", &EncodingRecord::l1_norm);
    column("squared_norm", &EncodingRecord::squared_norm);
    column("largest", &EncodingRecord::largest);
    column("second", &EncodingRecord::second);
    return result;
}

}  // namespace

void add_encoding(py::module_& m) {
    m.def("encoding_start", &encoding_start, "seed"_a, "m"_a, "deviation"_a);
    m.def("encoding_run", &encoding_run, "start"_a, "l1"_a, "step"_a, "end"_a, "times"_a);
}

}  // namespace fastpolysem::bindings
