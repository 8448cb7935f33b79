// The random draws of training, exposed for inspection.
#include "arrays.hpp"
#include "computation.hpp"
#include "fastpolysem/models/autoencoder/model/initial.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace autoencoder;

py::tuple initial_weights(const Settings& s, const Array<std::uint64_t>& seeds) {
    return with_dtype(s, [&](auto type) -> py::tuple {
        using T = decltype(type);
        const py::ssize_t count = seeds.size(), size = s.n_features * s.n_hidden;
        const Shape shape{count, s.n_features, s.n_hidden};
        Array<T> encoder(shape);
        py::object decoder = py::none(), bias = py::none();
        if (!s.tied) decoder = Array<T>(shape);
        if (s.bias) bias = Array<T>(Shape{count, s.n_features});
        T *to_encoder = encoder.mutable_data(), *to_decoder = fresh_or_null<T>(decoder),
          *to_bias = fresh_or_null<T>(bias);
        compute([&](StopToken& stop) {
            Parameters<T> w(s);
            for (py::ssize_t i = 0; i < count && !stop.stopped(); ++i) {
                draw_start(s, seeds.data()[i], w, nullptr);
                w.encoder.copy_to(to_encoder + i * size);
                if (to_decoder) w.decoder.copy_to(to_decoder + i * size);
                if (to_bias) w.bias.copy_to(to_bias + i * s.n_features);
            }
        });
        return py::make_tuple(encoder, decoder, bias);
    });
}

// Stacks draw(seed, rows, out) over seeds: (S, m) if all rows of a step share the draw, else (S, rows, m).
template <class T, class Draw>
py::array hidden_draws(const Settings& s, const Array<std::uint64_t>& seeds, Sharing sharing, std::int64_t rows,
                       Draw draw) {
    const bool shared = sharing == Sharing::step;
    if (shared) rows = 1;
    const std::int64_t m = s.n_hidden;
    Array<T> out(shared ? Shape{seeds.size(), m} : Shape{seeds.size(), rows, m});
    T* to = out.mutable_data();
    compute([&](StopToken& stop) {
        for (py::ssize_t i = 0; i < seeds.size() && !stop.stopped(); ++i, to += rows * m)
            draw(seeds.data()[i], rows,
                 [&](std::int64_t row, std::int64_t column) -> T& { return to[row * m + column]; });
    });
    return out;
}

py::array noise_draws(const Settings& s, const Array<std::uint64_t>& seeds, std::uint32_t step, std::int64_t rows) {
    return with_dtype(s, [&](auto type) -> py::array {
        using T = decltype(type);
        return hidden_draws<T>(s, seeds, s.noise_sharing, rows, [&](std::uint64_t seed, std::int64_t count, auto out) {
            draw_noise<T>(s.noise, stream(s, seed, noise_kind, step), count, s.n_hidden, out);
        });
    });
}

py::array dropout_draws(const Settings& s, const Array<std::uint64_t>& seeds, std::uint32_t step, std::int64_t rows) {
    return with_dtype(s, [&](auto type) -> py::array {
        using T = decltype(type);
        return hidden_draws<T>(
            s, seeds, s.dropout_sharing, rows, [&](std::uint64_t seed, std::int64_t count, auto out) {
                draw_dropout<T>(s.dropout, stream(s, seed, dropout_kind, step), count, s.n_hidden, out);
            });
    });
}

py::tuple batch_draw(const Settings& s, std::uint64_t seed, std::uint32_t step) {
    SparseBatch b;
    compute([&](StopToken&) {
        draw_batch(s, features_of(s), stream(s, seed, inputs_kind, step), stream(s, seed, magnitudes_kind, step), b);
    });
    const auto count = py::ssize_t(b.row_start.back());
    return py::make_tuple(Array<std::int64_t>(py::ssize_t(b.row_start.size()), b.row_start.data()),
                          Array<std::int32_t>(count, b.feature.data()), Array<double>(count, b.value.data()));
}

}  // namespace

void add_draws(py::module_& m) {
    m.def("initial_weights", &initial_weights, "settings"_a, "seeds"_a);
    m.def("draw_noise", &noise_draws, "settings"_a, "seeds"_a, "step"_a, "rows"_a);
    m.def("draw_dropout", &dropout_draws, "settings"_a, "seeds"_a, "step"_a, "rows"_a);
    m.def("draw_batch", &batch_draw, "settings"_a, "seed"_a, "step"_a);
}

}  // namespace fastpolysem::bindings
