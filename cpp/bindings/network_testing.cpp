// The passes, updates and elementary functions of networks, exposed separately for the package's tests.
#include "arrays.hpp"
#include "fastpolysem/math/elementary.hpp"
#include "fastpolysem/models/network/passes/generic_pass.hpp"
#include "fastpolysem/models/network/passes/lanes_pass.hpp"
#include "fastpolysem/models/network/passes/rows_pass.hpp"
#include "fastpolysem/models/network/passes/update.hpp"
#include "module.hpp"

namespace fastpolysem::bindings {
namespace {

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
    s.layers.clear();
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
    const auto rule = name_in<Rule>(d, "rule", {"sgd", "momentum", "adam"});
    s.optimizer = rule == Rule::adam ? fastpolysem::Optimizer::adamw : fastpolysem::Optimizer::sgd;
    s.momentum = rule == Rule::momentum ? get(d, "momentum", 0.9) : 0;
    s.learning_rate = get(d, "learning_rate", 0.01);
    s.weight_decay = rule == Rule::adam ? get(d, "weight_decay", 0.01) : 0;
    if (get(d, "orthant", false)) s.l1_update = L1Update::orthant;
    return s;
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

template <class T>
struct Pass {  // either of the kernels
    network::GenericPass<T> generic;
    network::RowsPass<T> rows;
    bool plain;
    StopSource source;
    StopToken stop{source, false};
    Pass(const network::Settings& s, const std::string& kernel)
        : generic(s),
          rows(s, kernel == "panels"   ? network::RowsPass<T>::Order::panels
                  : kernel == "layers" ? network::RowsPass<T>::Order::layers
                                       : network::RowsPass<T>::Order::automatic),
          plain(kernel == "generic") {}
    double operator()(const network::Parameters<T>& w, const network::Step<T>& step, bool loss) {
        return plain ? generic(w, step, loss, true, stop) : rows(w, step, loss, true, stop);
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
    const double loss = s.scale * pass(w, d.step, true);
    return py::make_tuple(loss, parameters_to(pass.gradient()));
}

// Calls use(weights, optimizer) after `steps`.
template <class T, class Use>
py::tuple after(const std::string& kernel, const py::dict& settings, const py::tuple& weights, const py::dict& data,
                int steps, Use use) {
    const network::Settings s = settings_of(settings);
    auto w = parameters_of<T>(s, weights);
    const Data<T> d(data);
    Pass<T> pass(s, kernel);
    network::Schedules<T> schedules(s);
    network::Optimizer<T> optimizer(s);
    for (int t = 0; t < steps; ++t) {
        pass(w, d.step, false);
        optimizer(w, pass.gradient(), schedules.next(t));
    }
    return use(w, optimizer);
}

template <class T>
py::tuple run(const std::string& kernel, const py::dict& settings, const py::tuple& weights, const py::dict& data,
              int steps) {
    return after<T>(kernel, settings, weights, data, steps,
                    [](const auto& w, const auto&) { return parameters_to(w); });
}

template <class T>
py::tuple moments(const std::string& kernel, const py::dict& settings, const py::tuple& weights, const py::dict& data,
                  int steps) {
    return after<T>(kernel, settings, weights, data, steps, [](const auto&, const auto& optimizer) {
        return py::make_tuple(parameters_to(optimizer.first()), parameters_to(optimizer.second()));
    });
}

// One seed in each lane; if `data` has too few entries, they are repeated.
template <class T>
struct Lanes {
    using Table = typename network::LanesStep<T>::Table;
    static constexpr int width = simd::Pack<T>::width;
    network::LanesPass<T> pass;
    network::Parameters<T> weights, own;
    std::vector<std::unique_ptr<Data<T>>> data;
    network::LanesStep<T> step;
    StopSource source;
    StopToken stop{source, false};

    Lanes(const network::Settings& s, const py::list& w, const py::list& d, bool shared)
        : pass(s), weights(pass.lane_settings), own(s) {
        for (int lane = 0; lane < width; ++lane) {
            pass.set(lane, parameters_of<T>(s, w[std::size_t(lane) % w.size()]), weights);
            data.push_back(std::make_unique<Data<T>>(d[std::size_t(lane) % d.size()]));
        }
        const network::Step<T>& first = data[0]->step;
        step.rows = first.rows;
        if (shared) step.shared = &first;
        else fill_inputs(s, first);
        for (std::size_t l = 0; l < first.noise.size(); ++l)
            step.noise.push_back(table(first.noise[l], [l](Data<T>& a) { return a.step.noise[l]; }));
        for (std::size_t l = 0; l < first.dropout.size(); ++l)
            step.dropout.push_back(table(first.dropout[l], [l](Data<T>& a) { return a.step.dropout[l]; }));
    }
    py::tuple read(int lane, network::Parameters<T>& from) {
        pass.read(lane, from, own);
        return parameters_to(own);
    }

  private:
    void fill_inputs(const network::Settings& s, const network::Step<T>& first) {
        step.inputs = Table(step.rows, s.n_inputs());
        if (first.targets) step.targets = Table(step.rows, s.n_outputs());
        if (first.labels) step.labels.assign(std::size_t(step.rows * width), -1);
        for (int lane = 0; lane < width; ++lane)
            for (std::ptrdiff_t b = 0; b < step.rows; ++b) {
                const network::Step<T>& one = data[std::size_t(lane)]->step;
                one.each_input(b, [&](std::int32_t i, T x) { step.inputs.at(b, i)[lane] = x; });
                const std::ptrdiff_t row = one.table_row(b);
                if (one.labels) step.labels[std::size_t(b * width + lane)] = one.labels[row];
                for (std::ptrdiff_t j = 0; one.targets && j < s.n_outputs(); ++j)
                    step.targets.at(b, j)[lane] = one.targets->row(row)[j];
            }
    }
    template <class Of>
    Table table(const Matrix<T>* first, Of of) {
        if (!first) return Table();
        Table t(first->rows, first->columns, first->rows == 1);
        for (int lane = 0; lane < width; ++lane)
            for (std::ptrdiff_t b = 0; b < first->rows; ++b)
                for (std::ptrdiff_t j = 0; j < t.units; ++j) t.at(b, j)[lane] = of(*data[std::size_t(lane)])->row(b)[j];
        return t;
    }
};

// (losses, gradients) before the first step, and weights after `steps`: lists over lanes.
template <class T>
py::tuple lanes(const py::dict& settings, const py::list& weights, const py::list& data, int steps, bool shared) {
    const network::Settings s = settings_of(settings);
    Lanes<T> a(s, weights, data, shared);
    network::Schedules<T> schedules(s);
    network::Optimizer<T> optimizer(a.pass.lane_settings);
    double losses[Lanes<T>::width] = {};
    a.pass(a.weights, a.step, losses, true, a.stop);
    py::list loss, gradients, ends;
    for (int lane = 0; lane < a.width; ++lane) {
        loss.append(s.scale * losses[lane]);
        gradients.append(a.read(lane, a.pass.gradient));
    }
    for (int t = 0; t < steps; ++t) {
        a.pass(a.weights, a.step, nullptr, true, a.stop);
        optimizer(a.weights, a.pass.gradient, schedules.next(t));
    }
    for (int lane = 0; lane < a.width; ++lane) ends.append(a.read(lane, a.weights));
    return py::make_tuple(loss, gradients, ends);
}

}  // namespace

void add_networks_for_tests(py::module_& m) {
    m.def("gradient_f32", &gradient<float>);
    m.def("gradient_f64", &gradient<double>);
    m.def("lanes_f32", &lanes<float>);
    m.def("lanes_f64", &lanes<double>);
    m.def("moments_f32", &moments<float>);
    m.def("run_f32", &run<float>);
    m.def("run_f64", &run<double>);
    m.def("elementary_f32", &elementary<float>);
    m.def("elementary_f64", &elementary<double>);
    m.def("cos_pi", py::vectorize(&math::cos_pi));
}

}  // namespace fastpolysem::bindings
