// The model and its loss for weights supplied by the user.
#include "fastpolysem/models/autoencoder/passes/objective.hpp"

#include <optional>

#include "arrays.hpp"
#include "computation.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace autoencoder;

std::optional<SparseBatch> batch_argument(const py::object& batch) {
    if (batch.is_none()) return std::nullopt;
    const auto t = batch.cast<py::tuple>();
    return batch_of(t[0].cast<Array<std::int64_t>>(), t[1].cast<Array<std::int32_t>>(), t[2].cast<Array<double>>());
}

// The models of one call: an array (S, n, m), with decoders and biases if there are any.
template <class T>
struct Models {
    const T *encoder, *decoder, *bias, *noise;
    std::int64_t count, n, m, noise_rows, noise_size;

    Models(const Settings& s, const py::array& enc, const py::object& dec, const py::object& b, const py::object& xi)
        : encoder(entries<T>(enc)),
          decoder(entries_or_null<T>(dec)),
          bias(entries_or_null<T>(b)),
          noise(entries_or_null<T>(xi)),
          count(enc.shape(0)),
          n(s.n_features),
          m(s.n_hidden),
          noise_rows(0),
          noise_size(0) {
        if (noise) {
            const py::array a(xi);
            noise_rows = a.ndim() == 3 ? a.shape(1) : 1;
            noise_size = noise_rows * m;
        }
    }
    Weights<T> operator[](std::int64_t i) const {
        return {encoder + i * n * m, decoder ? decoder + i * n * m : nullptr, bias ? bias + i * n : nullptr};
    }
    const T* noise_of(std::int64_t i) const { return noise ? noise + i * noise_size : nullptr; }
};

py::array forward(const Settings& s, const py::array& encoder, const py::object& decoder, const py::object& bias,
                  const py::object& batch, const py::object& noise) {
    return with_dtype(s, [&](auto type) -> py::array {
        using T = decltype(type);
        const Models<T> models(s, encoder, decoder, bias, noise);
        const auto rows = batch_argument(batch);
        const std::int64_t row_count = rows ? rows->rows() : s.n_features;
        Array<T> output(Shape{models.count, row_count, models.n});
        T* to = output.mutable_data();
        compute([&](StopToken& stop) {
            const Objective<T> objective(s, rows ? &*rows : nullptr, 1.0);
            for (std::int64_t i = 0; i < models.count && !stop.stopped(); ++i)
                objective.forward(models[i], models.noise_of(i), models.noise_rows, to + i * row_count * models.n);
        });
        return output;
    });
}

py::tuple loss_and_gradient(const Settings& s, const py::array& encoder, const py::object& decoder,
                            const py::object& bias, const py::object& batch, const py::object& noise, double scale) {
    return with_dtype(s, [&](auto type) -> py::tuple {
        using T = decltype(type);
        const Models<T> models(s, encoder, decoder, bias, noise);
        const auto rows = batch_argument(batch);
        Array<double> loss(models.count);
        Array<T> d_encoder(Shape{models.count, models.n, models.m});
        py::object d_decoder = py::none(), d_bias = py::none();
        if (models.decoder) d_decoder = Array<T>(Shape{models.count, models.n, models.m});
        if (models.bias) d_bias = Array<T>(Shape{models.count, models.n});
        double* losses = loss.mutable_data();
        T *to_encoder = d_encoder.mutable_data(), *to_decoder = fresh_or_null<T>(d_decoder),
          *to_bias = fresh_or_null<T>(d_bias);
        compute([&](StopToken& stop) {
            const Objective<T> objective(s, rows ? &*rows : nullptr, scale);
            const std::int64_t size = models.n * models.m;
            for (std::int64_t i = 0; i < models.count && !stop.stopped(); ++i)
                losses[i] =
                    objective.loss_and_gradient(models[i], models.noise_of(i), models.noise_rows,
                                                {to_encoder + i * size, to_decoder ? to_decoder + i * size : nullptr,
                                                 to_bias ? to_bias + i * models.n : nullptr});
        });
        return py::make_tuple(loss, d_encoder, d_decoder, d_bias);
    });
}

}  // namespace

void add_objective(py::module_& m) {
    m.def("forward", &forward, "settings"_a, "encoder"_a, "decoder"_a, "bias"_a, "batch"_a, "noise"_a);
    m.def("loss_and_gradient", &loss_and_gradient, "settings"_a, "encoder"_a, "decoder"_a, "bias"_a, "batch"_a,
          "noise"_a, "scale"_a);
}

}  // namespace fastpolysem::bindings
