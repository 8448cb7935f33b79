// What the tests of the networks' core call: elementary functions, single passes, short runs, timings. Not installed.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <time.h>

#include "fastpolysem/kernels/peak.hpp"
#include "fastpolysem/math/elementary.hpp"
#include "fastpolysem/models/network/generic.hpp"
#include "fastpolysem/models/network/kernels/rows.hpp"
#include "fastpolysem/models/network/update.hpp"

namespace py = pybind11;
using namespace fastpolysem;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
simd::Pack<T> call(const std::string& name, simd::Pack<T> x) {
    if (name == "exp") return math::exp(x);
    if (name == "log") return math::log(x);
    if (name == "log1p") return math::log1p(x);
    if (name == "tanh") return math::tanh(x);
    if (name == "erf") return math::erf(x);
    throw py::value_error("no function " + name);
}

template <class T>
Array<T> elementary(const std::string& name, const Array<T>& x) {
    using P = simd::Pack<T>;
    Array<T> y(x.size());
    for (py::ssize_t i = 0; i < x.size(); i += P::width) {
        T lanes[P::width] = {};
        const auto count = std::size_t(std::min<py::ssize_t>(P::width, x.size() - i)) * sizeof(T);
        std::memcpy(lanes, x.data() + i, count);
        call<T>(name, P::load(lanes)).store(lanes);
        std::memcpy(y.mutable_data() + i, lanes, count);
    }
    return y;
}

template <class E>
E name_in(const py::dict& d, const char* key, std::initializer_list<const char*> names) {
    if (!d.contains(key)) return E(0);
    const auto wanted = d[key].cast<std::string>();
    int i = 0;
    for (const char* name : names) {
        if (wanted == name) return E(i);
        ++i;
    }
    throw py::value_error(std::string(key) + "=" + wanted);
}

template <class V>
V get(const py::dict& d, const char* key, V otherwise) {
    return d.contains(key) ? d[key].cast<V>() : otherwise;
}

network::Settings settings_of(const py::dict& d) {
    using network::Activation, network::Layer, network::Loss, network::Target;
    network::Settings s;
    for (const py::handle item : d["layers"]) {
        const auto layer = py::reinterpret_borrow<py::dict>(item);
        Layer a;
        a.inputs = layer["inputs"].cast<std::ptrdiff_t>();
        a.outputs = layer["outputs"].cast<std::ptrdiff_t>();
        a.activation = name_in<Activation>(layer, "activation", {"relu", "gelu", "tanh", "square", "linear"});
        a.bias = get(layer, "bias", true);
        a.residual = get(layer, "residual", false);
        a.frozen = get(layer, "frozen", false);
        a.l1 = get(layer, "l1", 0.0);
        a.l1_activations = get(layer, "l1_activations", 0.0);
        s.layers.push_back(a);
    }
    s.tied = get(d, "tied", false);
    s.loss = name_in<Loss>(d, "loss", {"power", "cross_entropy", "binary_cross_entropy"});
    s.target = name_in<Target>(d, "target", {"given", "identity", "absolute", "relu"});
    s.power = get(d, "power", 2.0);
    s.importance = get(d, "importance", std::vector<double>{});
    s.scale = get(d, "scale", 1.0);
    return s;
}

template <class T>
Matrix<T> matrix_of(const py::handle& object) {
    const Array<T> a = Array<T>::ensure(object);
    if (!a) throw py::type_error("not an array");
    const bool row = a.ndim() == 1;
    Matrix<T> m(row ? 1 : a.shape(0), a.shape(row ? 0 : 1));
    m.copy_from(a.data());
    return m;
}

template <class T>
Array<T> array_of(const Matrix<T>& m) {
    Array<T> a({m.rows, m.columns});
    m.copy_to(a.mutable_data());
    return a;
}

template <class T>
py::tuple parameters_to(const network::Parameters<T>& w) {
    py::list weights, biases;
    for (const Matrix<T>& m : w.weights) weights.append(array_of(m));
    for (const Matrix<T>& m : w.biases) biases.append(m.empty() ? py::object(py::none()) : array_of(m));
    return py::make_tuple(weights, biases);
}

template <class T>
network::Parameters<T> parameters_of(const network::Settings& s, const py::tuple& pair) {
    network::Parameters<T> w(s);
    const py::list weights = pair[0], biases = pair[1];
    for (std::size_t l = 0; l < w.weights.size(); ++l) w.weights[l] = matrix_of<T>(weights[l]);
    for (std::size_t l = 0; l < w.biases.size(); ++l)
        if (!w.biases[l].empty()) w.biases[l] = matrix_of<T>(biases[l]);
    return w;
}

// The arrays of a step, owned.
template <class T>
struct Data {
    Matrix<T> dense, targets;
    network::SparseRows<T> sparse;
    std::vector<std::int32_t> labels, order;
    std::vector<Matrix<T>> noise, dropout;
    network::Step<T> step;

    explicit Data(const py::dict& d) {
        const Matrix<T> x = matrix_of<T>(d["x"]);
        if (get(d, "sparse", false)) {
            for (std::ptrdiff_t b = 0; b < x.rows; ++b) {
                for (std::ptrdiff_t i = 0; i < x.columns; ++i)
                    if (x.row(b)[i] != 0) sparse.feature.push_back(int(i)), sparse.value.push_back(x.row(b)[i]);
                sparse.row_start.push_back(std::int64_t(sparse.value.size()));
            }
            step.sparse = &sparse;
        } else {
            dense = matrix_of<T>(d["x"]);
            step.dense = &dense;
        }
        step.rows = x.rows;
        labels = get(d, "labels", labels);
        if (!labels.empty()) step.labels = labels.data();
        order = get(d, "order", order);
        if (!order.empty()) step.order = order.data(), step.rows = std::ptrdiff_t(order.size());
        if (d.contains("targets")) targets = matrix_of<T>(d["targets"]), step.targets = &targets;
        take(d, "noise", noise, step.noise);
        take(d, "dropout", dropout, step.dropout);
    }

  private:
    static void take(const py::dict& d, const char* key, std::vector<Matrix<T>>& own,
                     std::vector<const Matrix<T>*>& lent) {
        if (!d.contains(key)) return;
        for (const py::handle item : d[key]) own.push_back(item.is_none() ? Matrix<T>() : matrix_of<T>(item));
        for (const Matrix<T>& m : own) lent.push_back(m.empty() ? nullptr : &m);
    }
};

struct Rates {
    Rule rule;
    double learning_rate, momentum, weight_decay, beta1, beta2, epsilon;
    explicit Rates(const py::dict& d)
        : rule(name_in<Rule>(d, "rule", {"sgd", "momentum", "adam"})),
          learning_rate(get(d, "learning_rate", 0.01)),
          momentum(get(d, "momentum", 0.9)),
          weight_decay(get(d, "weight_decay", 0.01)),
          beta1(get(d, "beta1", 0.9)),
          beta2(get(d, "beta2", 0.999)),
          epsilon(get(d, "epsilon", 1e-8)) {}

    template <class T>
    network::StepScalars<T> at(int step) const {
        network::StepScalars<T> scalars;
        StepConstants<T>& c = scalars.constants;
        c.learning_rate = T(learning_rate);
        c.momentum = T(momentum);
        c.decay_factor = T(1 - learning_rate * weight_decay);
        c.one_minus_beta1 = T(1 - beta1);
        c.beta2 = T(beta2);
        c.one_minus_beta2 = T(1 - beta2);
        c.epsilon = T(epsilon);
        double power1 = 1, power2 = 1;
        for (int t = 0; t <= step; ++t) power1 *= beta1, power2 *= beta2;
        c.step_size = T(learning_rate / (1 - power1));
        c.inverse_sqrt_correction = T(1 / std::sqrt(1 - power2));
        return scalars;
    }
};

template <class T>
struct Pass {  // either of the kernels
    network::GenericPass<T> generic;
    network::RowsPass<T> rows;
    bool plain;
    Stopper stopper;
    Pulse pulse{stopper, false};
    Pass(const network::Settings& s, const std::string& kernel)
        : generic(s),
          rows(s, kernel == "panels"   ? network::RowsPass<T>::Order::panels
                  : kernel == "layers" ? network::RowsPass<T>::Order::layers
                                       : network::RowsPass<T>::Order::automatic),
          plain(kernel == "generic") {}
    double operator()(const network::Parameters<T>& w, const network::Step<T>& step, bool loss) {
        return plain ? generic(w, step, loss) : rows(w, step, loss, true, pulse);
    }
    network::Parameters<T>& gradient() { return plain ? generic.gradient : rows.gradient; }
};

template <class T>
py::tuple gradient(const std::string& kernel, const py::dict& settings, const py::tuple& weights,
                   const py::dict& data) {
    const network::Settings s = settings_of(settings);
    const auto w = parameters_of<T>(s, weights);
    const Data<T> d(data);
    Pass<T> pass(s, kernel);
    const double loss = pass(w, d.step, true);
    return py::make_tuple(loss, parameters_to(pass.gradient()));
}

template <class T>
py::tuple run(const std::string& kernel, const py::dict& settings, const py::tuple& weights, const py::dict& data,
              int steps) {
    const network::Settings s = settings_of(settings);
    auto w = parameters_of<T>(s, weights);
    const Data<T> d(data);
    Pass<T> pass(s, kernel);
    const Rates rates(settings);
    network::Optimizer<T> optimizer(s, rates.rule, get(settings, "orthant", false));
    for (int t = 0; t < steps; ++t) {
        pass(w, d.step, false);
        optimizer(w, pass.gradient(), rates.at<T>(t));
    }
    return parameters_to(w);
}

double thread_seconds() {  // of processor time: others may use the machine
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// Least seconds of a pass and of an update, and the peak of the same minute in flops a second.
template <class T>
py::dict time(const std::string& kernel, const py::dict& settings, const py::tuple& weights, const py::dict& data,
              int repeats) {
    const network::Settings s = settings_of(settings);
    auto w = parameters_of<T>(s, weights);
    const Data<T> d(data);
    Pass<T> pass(s, kernel);
    network::Optimizer<T> optimizer(s, Rule::adam, false);
    double least_pass = 1e9, least_update = 1e9;
    const auto scalars = Rates(settings).at<T>(100);
    for (int i = 0; i < repeats; ++i) {
        const auto begin = thread_seconds();
        pass(w, d.step, false);
        const auto middle = thread_seconds();
        optimizer(w, pass.gradient(), scalars);
        const auto end = thread_seconds();
        least_pass = std::min(least_pass, middle - begin);
        least_update = std::min(least_update, end - middle);
    }
    py::dict result;
    result["pass"] = least_pass;
    result["update"] = least_update;
    result["peak"] = fma_peak<T>();
    return result;
}

}  // namespace

PYBIND11_MODULE(FASTPOLYSEM_MODULE, m) {
    m.def("gradient_f32", &gradient<float>);
    m.def("gradient_f64", &gradient<double>);
    m.def("run_f32", &run<float>);
    m.def("run_f64", &run<double>);
    m.def("time_f32", &time<float>);
    m.def("time_f64", &time<double>);
    m.def("elementary_f32", &elementary<float>);
    m.def("elementary_f64", &elementary<double>);
    m.def("cos_pi", py::vectorize(&math::cos_pi));
}
