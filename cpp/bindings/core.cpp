// The only file that knows pybind11. Arrays come contiguous and of the right dtype, settings checked: Python does that.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "fastpolysem/encoding.hpp"
#include "fastpolysem/generic.hpp"
#include "fastpolysem/initial.hpp"
#include "fastpolysem/kernels/peak.hpp"
#include "fastpolysem/noise.hpp"
#include "fastpolysem/objective.hpp"
#include "fastpolysem/trainer.hpp"

#ifndef FASTPOLYSEM_MODULE
#error "FASTPOLYSEM_MODULE names the extension module, FASTPOLYSEM_ISA its instruction set"
#endif

namespace py = pybind11;
using namespace pybind11::literals;

namespace fastpolysem {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Shape = std::vector<py::ssize_t>;

template <class T>
const T* data_or_null(const py::object& array) {
    return array.is_none() ? nullptr : Array<T>::ensure(array).data();
}

void* mutable_data(const py::object& array) { return array.is_none() ? nullptr : py::array(array).mutable_data(); }

// Calls body(T{}) with the settings' number type.
template <class Body>
auto with_dtype(const Settings& s, Body body) {
    return s.dtype == Dtype::float32 ? body(float{}) : body(double{});
}

template <class E>
void enum_property(py::class_<Settings>& c, const char* name, E Settings::* member) {
    c.def_property(
        name, [member](const Settings& s) { return name_of(s.*member); },
        [member](Settings& s, const std::string& value) { s.*member = parse<E>(value); });
}

SparseBatch make_batch(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                       const Array<double>& values) {
    SparseBatch b;
    b.row_start.assign(indptr.data(), indptr.data() + indptr.size());
    b.feature.assign(indices.data(), indices.data() + indices.size());
    b.value.assign(values.data(), values.data() + values.size());
    return b;
}

std::optional<SparseBatch> batch_argument(const py::object& batch) {
    if (batch.is_none()) return std::nullopt;
    const auto t = batch.cast<py::tuple>();
    return make_batch(t[0].cast<Array<std::int64_t>>(), t[1].cast<Array<std::int32_t>>(), t[2].cast<Array<double>>());
}

// The models of one call: an array (S, n, m) and its companions.
template <class T>
struct Models {
    const T *encoder, *decoder, *bias, *noise;
    std::int64_t count, n, m, noise_rows, noise_size;

    Models(const Settings& s, const py::array& enc, const py::object& dec, const py::object& b, const py::object& xi)
        : encoder(data_or_null<T>(enc)),
          decoder(data_or_null<T>(dec)),
          bias(data_or_null<T>(b)),
          noise(data_or_null<T>(xi)),
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
        {
            const py::gil_scoped_release release;
            const Objective<T> objective(s, rows ? &*rows : nullptr, 1.0);
            for (std::int64_t i = 0; i < models.count; ++i)
                objective.forward(models[i], models.noise_of(i), models.noise_rows, to + i * row_count * models.n);
        }
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
        T *to_encoder = d_encoder.mutable_data(), *to_decoder = static_cast<T*>(mutable_data(d_decoder)),
          *to_bias = static_cast<T*>(mutable_data(d_bias));
        {
            const py::gil_scoped_release release;
            const Objective<T> objective(s, rows ? &*rows : nullptr, scale);
            const std::int64_t size = models.n * models.m;
            for (std::int64_t i = 0; i < models.count; ++i)
                losses[i] =
                    objective.loss_and_gradient(models[i], models.noise_of(i), models.noise_rows,
                                                {to_encoder + i * size, to_decoder ? to_decoder + i * size : nullptr,
                                                 to_bias ? to_bias + i * models.n : nullptr});
        }
        return py::make_tuple(loss, d_encoder, d_decoder, d_bias);
    });
}

// Signals and progress belong to the calling thread; what Python raises there stops the computation and is raised after
// it.
struct Listener {
    py::object progress;
    std::exception_ptr raised;

    bool keep_going(std::int64_t done) {
        const py::gil_scoped_acquire acquire;
        try {
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            if (!progress.is_none()) progress(done);
            return true;
        } catch (...) {
            raised = std::current_exception();
            return false;
        }
    }
    void raise_if_stopped() const {
        if (raised) std::rethrow_exception(raised);
    }
};

py::dict train_seeds(const Settings& s, const Array<std::uint64_t>& seeds, const py::object& encoder,
                     const py::object& decoder, const py::object& bias, const py::object& noise_sequence,
                     const std::vector<std::string>& metrics, const Array<std::int64_t>& record_steps,
                     bool return_weights, int num_threads, const std::string& kernel, const py::object& progress) {
    TrainingTask task;
    task.settings = s;
    task.seeds = seeds.data();
    task.count = seeds.size();
    task.threads = num_threads;
    task.kernel = kernel == "auto" ? best_kernel(s, task.count) : kernel;
    task.record_steps.assign(record_steps.data(), record_steps.data() + record_steps.size());
    const py::ssize_t count = seeds.size(), records = record_steps.size();
    std::vector<Outcome> outcomes(static_cast<std::size_t>(count));
    task.outcomes = outcomes.data();
    py::dict history;
    for (const auto& name : metrics) {
        task.metrics.push_back(parse<Metric>(name));
        Array<double> column(Shape{count, records});
        task.history.push_back(column.mutable_data());
        history[py::str(name)] = column;
    }
    py::object final_encoder = py::none(), final_decoder = py::none(), final_bias = py::none();
    with_dtype(s, [&](auto type) {
        using T = decltype(type);
        task.encoder = data_or_null<T>(encoder);
        task.decoder = data_or_null<T>(decoder);
        task.bias = data_or_null<T>(bias);
        task.noise = data_or_null<T>(noise_sequence);
        if (task.noise) task.noise_sets = py::array(noise_sequence).shape(0);
        if (!return_weights) return;
        const Shape shape{count, s.n_features, s.n_hidden};
        final_encoder = Array<T>(shape);
        if (!s.tied) final_decoder = Array<T>(shape);
        if (s.bias) final_bias = Array<T>(Shape{count, s.n_features});
    });
    task.final_encoder = mutable_data(final_encoder);
    task.final_decoder = mutable_data(final_decoder);
    task.final_bias = mutable_data(final_bias);

    Listener listener{progress, nullptr};
    {
        const py::gil_scoped_release release;
        train(task, [&](std::int64_t done) { return listener.keep_going(done); });
    }
    listener.raise_if_stopped();

    py::dict result;
    const auto column = [&](const char* name, auto get) {
        using V = decltype(get(outcomes[0]));
        Array<V> a(count);
        for (py::ssize_t i = 0; i < count; ++i) a.mutable_data()[i] = get(outcomes[std::size_t(i)]);
        result[name] = a;
    };
    column("polysemantic", [](const Outcome& o) { return std::int64_t(o.counts.polysemantic); });
    column("benign", [](const Outcome& o) { return o.counts.benign; });
    column("malign", [](const Outcome& o) { return o.counts.malign; });
    column("signed_slots", [](const Outcome& o) { return std::int64_t(o.counts.signed_slots); });
    column("signed_slots_benign", [](const Outcome& o) { return std::int64_t(o.counts.signed_slots_benign); });
    column("dead", [](const Outcome& o) { return std::int64_t(o.counts.dead); });
    column("unrepresented", [](const Outcome& o) { return std::int64_t(o.counts.unrepresented); });
    column("nonzeros", [](const Outcome& o) { return o.nonzeros; });
    column("loss", [](const Outcome& o) { return o.loss; });
    column("residual", [](const Outcome& o) { return o.residual; });
    column("steps_taken", [](const Outcome& o) { return o.steps_taken; });
    column("diverged", [](const Outcome& o) { return o.diverged; });
    column("seconds", [](const Outcome& o) { return o.seconds; });
    result["history"] = history;
    result["kernel"] = task.kernel;
    result["encoder"] = final_encoder;
    result["decoder"] = final_decoder;
    result["bias"] = final_bias;
    return result;
}

py::dict count_weights(const py::array& weights, double low, double high) {
    const py::ssize_t seeds = weights.shape(0), n = weights.shape(1), m = weights.shape(2);
    std::vector<Counts> counts(static_cast<std::size_t>(seeds));
    const auto run = [&](auto type) {
        using T = decltype(type);
        const auto contiguous = Array<T>::ensure(weights);
        const T* data = contiguous.data();
        const py::gil_scoped_release release;
        for (py::ssize_t i = 0; i < seeds; ++i)
            counts[std::size_t(i)] = count(WeightView<T>{data + i * n * m, nullptr, n, m, m}, low, high);
    };
    if (py::isinstance<Array<float>>(weights)) run(float{});
    else run(double{});
    py::dict result;
    const auto column = [&](const char* name, auto Counts::* member) {
        Array<std::int64_t> a(seeds);
        for (py::ssize_t i = 0; i < seeds; ++i) a.mutable_data()[i] = counts[std::size_t(i)].*member;
        result[name] = a;
    };
    column("polysemantic", &Counts::polysemantic);
    column("benign", &Counts::benign);
    column("malign", &Counts::malign);
    column("signed_slots", &Counts::signed_slots);
    column("signed_slots_benign", &Counts::signed_slots_benign);
    column("dead", &Counts::dead);
    column("unrepresented", &Counts::unrepresented);
    return result;
}

py::tuple initial_weights(const Settings& s, const Array<std::uint64_t>& seeds) {
    return with_dtype(s, [&](auto type) -> py::tuple {
        using T = decltype(type);
        const py::ssize_t count = seeds.size(), size = s.n_features * s.n_hidden;
        const Shape shape{count, s.n_features, s.n_hidden};
        Array<T> encoder(shape);
        py::object decoder = py::none(), bias = py::none();
        if (!s.tied) decoder = Array<T>(shape);
        if (s.bias) bias = Array<T>(Shape{count, s.n_features});
        T *to_encoder = encoder.mutable_data(), *to_decoder = static_cast<T*>(mutable_data(decoder)),
          *to_bias = static_cast<T*>(mutable_data(bias));
        {
            const py::gil_scoped_release release;
            Parameters<T> w(s);
            for (py::ssize_t i = 0; i < count; ++i) {
                draw_start(s, seeds.data()[i], w);
                w.encoder.copy_to(to_encoder + i * size);
                if (to_decoder) w.decoder.copy_to(to_decoder + i * size);
                if (to_bias) w.bias.copy_to(to_bias + i * s.n_features);
            }
        }
        return py::make_tuple(encoder, decoder, bias);
    });
}

// What draw(seed, rows, out) gives each seed: (S, m) if the rows of a step share it, else (S, rows, m).
template <class T, class Draw>
py::array hidden_draws(const Settings& s, const Array<std::uint64_t>& seeds, NoiseSharing sharing, std::int64_t rows,
                       Draw draw) {
    const bool shared = sharing == NoiseSharing::step;
    if (shared) rows = 1;
    const std::int64_t m = s.n_hidden;
    Array<T> out(shared ? Shape{seeds.size(), m} : Shape{seeds.size(), rows, m});
    T* to = out.mutable_data();
    {
        const py::gil_scoped_release release;
        for (py::ssize_t i = 0; i < seeds.size(); ++i, to += rows * m)
            draw(seeds.data()[i], rows,
                 [&](std::int64_t row, std::int64_t column) -> T& { return to[row * m + column]; });
    }
    return out;
}

py::array noise_draws(const Settings& s, const Array<std::uint64_t>& seeds, std::uint32_t step, std::int64_t rows) {
    return with_dtype(s, [&](auto type) -> py::array {
        using T = decltype(type);
        return hidden_draws<T>(s, seeds, s.noise_sharing, rows, [&](std::uint64_t seed, std::int64_t count, auto out) {
            draw_noise<T>(s, seed, step, count, out);
        });
    });
}

py::array dropout_draws(const Settings& s, const Array<std::uint64_t>& seeds, std::uint32_t step, std::int64_t rows) {
    return with_dtype(s, [&](auto type) -> py::array {
        using T = decltype(type);
        return hidden_draws<T>(
            s, seeds, s.dropout_sharing, rows,
            [&](std::uint64_t seed, std::int64_t count, auto out) { draw_dropout<T>(s, seed, step, count, out); });
    });
}

py::tuple batch_draw(const Settings& s, std::uint64_t seed, std::uint32_t step) {
    SparseBatch b;
    draw_batch(s, seed, step, b);
    return py::make_tuple(Array<std::int64_t>(py::ssize_t(b.row_start.size()), b.row_start.data()),
                          Array<std::int32_t>(py::ssize_t(b.feature.size()), b.feature.data()),
                          Array<double>(py::ssize_t(b.value.size()), b.value.data()));
}

py::array encoding_start(std::uint64_t seed, std::int64_t m, float deviation) {
    Array<float> w(m);
    float* to = w.mutable_data();
    {
        const py::gil_scoped_release release;
        draw_encoding(seed, m, deviation, to);
    }
    return w;
}

py::dict encoding_run(const Array<float>& start, double l1, double step, double end, const std::vector<double>& times) {
    Listener listener{py::none(), nullptr};
    std::vector<EncodingRecord> records;
    {
        std::vector<float> weights(start.data(), start.data() + start.size());
        const py::gil_scoped_release release;
        Stopper stopper;
        stopper.keep_going = [&](std::int64_t done) { return listener.keep_going(done); };
        Pulse pulse(stopper, true);
        records = Encoding(std::move(weights), l1).run(step, end, times, pulse);
    }
    listener.raise_if_stopped();
    py::dict result;
    const auto column = [&](const char* name, auto EncodingRecord::* member) {
        using V = std::decay_t<decltype(records[0].*member)>;
        Array<V> a(py::ssize_t(records.size()));
        for (std::size_t i = 0; i < records.size(); ++i) a.mutable_data()[i] = records[i].*member;
        result[name] = a;
    };
    column("support", &EncodingRecord::support);
    column("l1_norm", &EncodingRecord::l1_norm);
    column("squared_norm", &EncodingRecord::squared_norm);
    column("largest", &EncodingRecord::largest);
    column("second", &EncodingRecord::second);
    return result;
}

py::dict info() {
    py::dict d;
    d["isa"] = FASTPOLYSEM_ISA;
    d["vector_bytes"] = simd::bytes;
#if defined(__clang__)
    d["compiler"] = "clang " __clang_version__;
#else
    d["compiler"] = "gcc " __VERSION__;
#endif
#ifdef _OPENMP
    d["openmp"] = _OPENMP;
#else
    d["openmp"] = py::none();
#endif
    d["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                 std::to_string(EIGEN_MINOR_VERSION);
    d["version"] = FASTPOLYSEM_VERSION;
    return d;
}

}  // namespace
}  // namespace fastpolysem

PYBIND11_MODULE(FASTPOLYSEM_MODULE, m, py::mod_gil_not_used()) {
    using namespace fastpolysem;
    m.attr("NUMERICS_VERSION") = numerics_version;
    m.attr("__version__") = FASTPOLYSEM_VERSION;
    py::list metric_names;
    for (const char* name : Names<Metric>::all) metric_names.append(name);
    m.attr("METRICS") = py::tuple(metric_names);

    py::class_<Settings> c(m, "Settings", py::module_local());
    c.def(py::init<>());
    c.def_readwrite("n_features", &Settings::n_features).def_readwrite("n_hidden", &Settings::n_hidden);
    c.def_readwrite("l1", &Settings::l1)
        .def_readwrite("l1_schedule", &Settings::l1_schedule)
        .def_readwrite("noise_std", &Settings::noise_std)
        .def_readwrite("noise_shape", &Settings::noise_shape);
    c.def_readwrite("repulsion", &Settings::repulsion).def_readwrite("dropout", &Settings::dropout);
    c.def_readwrite("learning_rate", &Settings::learning_rate).def_readwrite("weight_decay", &Settings::weight_decay);
    c.def_readwrite("momentum", &Settings::momentum)
        .def_readwrite("beta1", &Settings::beta1)
        .def_readwrite("beta2", &Settings::beta2);
    c.def_readwrite("epsilon", &Settings::epsilon)
        .def_readwrite("steps", &Settings::steps)
        .def_readwrite("init_scale", &Settings::init_scale);
    c.def_readwrite("tied", &Settings::tied).def_readwrite("bias", &Settings::bias);
    c.def_readwrite("probability", &Settings::probability).def_readwrite("batch_size", &Settings::batch_size);
    c.def_readwrite("blocks", &Settings::blocks).def_readwrite("active", &Settings::active);
    c.def_readwrite("low", &Settings::low).def_readwrite("high", &Settings::high);
    enum_property(c, "l1_target", &Settings::l1_target);
    enum_property(c, "l1_update", &Settings::l1_update);
    enum_property(c, "noise", &Settings::noise);
    enum_property(c, "noise_sharing", &Settings::noise_sharing);
    enum_property(c, "dropout_sharing", &Settings::dropout_sharing);
    enum_property(c, "optimizer", &Settings::optimizer);
    enum_property(c, "stop", &Settings::stop);
    enum_property(c, "init", &Settings::init);
    enum_property(c, "activation", &Settings::activation);
    enum_property(c, "inputs", &Settings::inputs);
    enum_property(c, "magnitude", &Settings::magnitude);
    enum_property(c, "dtype", &Settings::dtype);
    c.def_property(
        "importance",
        [](const Settings& s) -> py::object {
            return s.importance.empty() ? py::object(py::none()) : py::cast(s.importance);
        },
        [](Settings& s, const std::optional<std::vector<double>>& value) {
            s.importance = value.value_or(std::vector<double>{});
        });
    c.def(
        "set_fixed_batch",
        [](Settings& s, const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
           const Array<double>& values) {
            s.fixed_batch = std::make_shared<SparseBatch>(make_batch(indptr, indices, values));
            s.batch_size = s.fixed_batch->rows();
            s.inputs = Inputs::fixed;
        },
        "indptr"_a, "indices"_a, "values"_a);

    m.def("info", &info);
    m.def("fma_peak", &fma_peak<float>, py::call_guard<py::gil_scoped_release>());
    m.def("default_threads", &default_threads);
    m.def("kernel_refusal", &kernel_refusal, "settings"_a, "kernel"_a);
    m.def("model_bytes", &model_bytes, "settings"_a);
    m.def("forward", &forward, "settings"_a, "encoder"_a, "decoder"_a, "bias"_a, "batch"_a, "noise"_a);
    m.def("loss_and_gradient", &loss_and_gradient, "settings"_a, "encoder"_a, "decoder"_a, "bias"_a, "batch"_a,
          "noise"_a, "scale"_a);
    m.def("train", &train_seeds, "settings"_a, "seeds"_a, "encoder"_a, "decoder"_a, "bias"_a, "noise_sequence"_a,
          "metrics"_a, "record_steps"_a, "return_weights"_a, "num_threads"_a, "kernel"_a, "progress"_a);
    m.def("count", &count_weights, "weights"_a, "low"_a, "high"_a);
    m.def("initial_weights", &initial_weights, "settings"_a, "seeds"_a);
    m.def("draw_noise", &noise_draws, "settings"_a, "seeds"_a, "step"_a, "rows"_a);
    m.def("draw_dropout", &dropout_draws, "settings"_a, "seeds"_a, "step"_a, "rows"_a);
    m.def("draw_batch", &batch_draw, "settings"_a, "seed"_a, "step"_a);
    m.def("encoding_start", &encoding_start, "seed"_a, "m"_a, "deviation"_a);
    m.def("encoding_run", &encoding_run, "start"_a, "l1"_a, "step"_a, "end"_a, "times"_a);
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
