// The random draws of training networks, exposed for inspection.
#include "arrays.hpp"
#include "computation.hpp"
#include "fastpolysem/models/network/model/sampler.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace network;

template <class T>
py::list hidden_arrays(const std::vector<const Matrix<T>*>& matrices, Sharing sharing) {
    py::list arrays;
    for (const Matrix<T>* m : matrices) {
        if (!m) {
            arrays.append(py::none());
            continue;
        }
        Array<T> array(sharing == Sharing::step ? Shape{m->columns} : Shape{m->rows, m->columns});
        m->copy_to(array.mutable_data());
        arrays.append(array);
    }
    return arrays;
}

// inputs, targets, noise, dropout, rows, flipped: see fastpolysem.draw.
py::dict draw(const Settings& given, std::uint64_t seed, std::int64_t at) {
    return with_dtype(given, [&](auto type) {
        using T = decltype(type);
        Settings s = given.for_rows(given.rows());
        const std::ptrdiff_t rows = s.rows(), outputs = s.n_outputs();
        const bool dataset = s.inputs == network::Inputs::dataset, classes = s.loss == Loss::cross_entropy;
        Array<T> inputs(Shape{rows, s.n_inputs()});
        py::object targets = py::none(), numbers = py::none();
        if (classes) targets = Array<std::int64_t>(rows);
        else targets = Array<T>(Shape{rows, outputs});
        if (dataset) numbers = Array<std::int64_t>(rows);
        Array<bool> flipped(rows);
        T *const x = inputs.mutable_data(), *const y = classes ? nullptr : fresh_or_null<T>(targets);
        auto* const labels = classes ? fresh_or_null<std::int64_t>(targets) : nullptr;
        auto* const shown = fresh_or_null<std::int64_t>(numbers);
        bool* const wrong = flipped.mutable_data();
        std::unique_ptr<SeedSampler<T>> sampler;
        std::vector<const Matrix<T>*> noise, dropout;
        compute([&](StopToken& stop) {
            make_shared_tables<T>(s, stop);
            sampler = std::make_unique<SeedSampler<T>>(s, stop);
            sampler->start(seed);
            sampler->take(at);
            const Step<T>& step = sampler->step();
            for (std::size_t l = 0; l < s.hidden(); ++l) {  // drawn on request
                noise.push_back(step.noise_of(l));
                dropout.push_back(step.dropout_of(l));
            }
            std::fill_n(x, rows * s.n_inputs(), T(0));
            for (std::ptrdiff_t b = 0; b < rows; ++b) {
                const std::ptrdiff_t row = step.table_row(b);
                step.each_input(b, [&](std::int32_t i, T value) { x[b * s.n_inputs() + i] = value; });
                if (shown) shown[b] = row;
                wrong[b] = labels && step.labels[row] != s.template shared<T>().data->labels[std::size_t(row)];
                if (labels) labels[b] = step.labels[row];
                for (std::ptrdiff_t j = 0; y && j < outputs; ++j)
                    y[b * outputs + j] =
                        s.elementwise() ? target_of(s.target, x[b * s.n_inputs() + j]) : step.targets->row(row)[j];
            }
        });
        py::dict result;
        result["inputs"] = inputs;
        result["targets"] = targets;
        result["noise"] = hidden_arrays(noise, s.noise_sharing);
        result["dropout"] = hidden_arrays(dropout, s.dropout_sharing);
        result["rows"] = numbers;
        result["flipped"] = flipped;
        return result;
    });
}

}  // namespace

void add_network_draws(py::module_& m) { m.def("network_draw", &draw, "settings"_a, "seed"_a, "step"_a); }

}  // namespace fastpolysem::bindings
