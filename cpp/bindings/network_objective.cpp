// Networks and their objective for weights supplied by the user.
#include <cmath>

#include "computation.hpp"
#include "fastpolysem/models/network/model/tables.hpp"
#include "fastpolysem/models/network/passes/rows_pass.hpp"
#include "module.hpp"
#include "network_arrays.hpp"

namespace fastpolysem::bindings {
namespace {

using namespace network;

// Noise or dropout of each hidden layer: (S, 1 or rows, units), or None.
template <class T>
class HiddenArrays {
  public:
    explicit HiddenArrays(const py::list& given) {
        for (const py::handle item : given) {
            if (item.is_none()) {
                matrices_.emplace_back();
                data_.push_back(nullptr);
                continue;
            }
            data_.push_back(entries<T>(item));
            const auto array = py::reinterpret_borrow<py::array>(item);
            matrices_.emplace_back(array.shape(1), array.shape(2));
        }
    }
    // The values for model i.
    std::vector<const Matrix<T>*> read(std::int64_t i) {
        std::vector<const Matrix<T>*> lent;
        for (std::size_t l = 0; l < data_.size(); ++l) {
            if (data_[l]) matrices_[l].copy_from(data_[l] + i * matrices_[l].rows * matrices_[l].columns);
            lent.push_back(data_[l] ? &matrices_[l] : nullptr);
        }
        return lent;
    }

  private:
    std::vector<Matrix<T>> matrices_;
    std::vector<const T*> data_;
};

// Arrays (S, ...) with the same shapes as the parameters.
template <class T>
py::dict parameter_arrays(const Settings& s, std::int64_t count, std::vector<T*>& data) {
    py::dict arrays;
    Parameters<T> none;
    for (const Parameter<T>& p : none.list(s)) {
        Array<T> array(p.is_vector ? Shape{count, p.columns} : Shape{count, p.rows, p.columns});
        data.push_back(array.mutable_data());
        arrays[py::str(p.name)] = array;
    }
    return arrays;
}

py::list forward(const Settings& s, const py::dict& parameters, const py::tuple& batch, const py::list& noise) {
    return with_dtype(s, [&](auto type) {
        using T = decltype(type);
        Models<T> models(s, parameters);
        HiddenArrays<T> added(noise);
        const network::Table<T> table = batch_table<T>(batch);
        py::list arrays;
        std::vector<T*> to;
        for (const Layer& layer : s.layers) {
            Array<T> array(Shape{models.count, table.rows, layer.outputs});
            to.push_back(array.mutable_data());
            arrays.append(array);
        }
        compute([&](StopToken& stop) {
            RowsPass<T> pass(s);
            Step<T> step;
            step.show(table);
            for (std::int64_t i = 0; i < models.count && !stop.stopped(); ++i) {
                models.read(i);
                step.noise = added.read(i);
                pass.watch = [&](std::size_t l, std::ptrdiff_t first, std::ptrdiff_t rows, Panel<T> a) {
                    T* out = to[l] + (i * table.rows + first) * a.features;
                    for (std::ptrdiff_t b = 0; b < rows; ++b)
                        for (std::ptrdiff_t j = 0; j < a.features; ++j) *out++ = a.line(j)[b];
                };
                pass(models.weights, step, false, false, stop);
            }
        });
        return arrays;
    });
}

// l1 of the weights without its schedule; adds their signs to the gradient.
template <class T>
double weight_penalty(const Settings& s, const Parameters<T>& w, Parameters<T>& gradient) {
    double total = 0;
    for (std::size_t l = 0; l < w.weights.size(); ++l) {
        const double l1 = s.layers[l].l1;
        if (l1 == 0) continue;
        double sum = 0;
        for (std::ptrdiff_t i = 0; i < w.weights[l].rows; ++i)
            for (std::ptrdiff_t k = 0; k < w.weights[l].columns; ++k) {
                const T x = w.weights[l].row(i)[k];
                sum += std::abs(double(x));
                if (x != 0) gradient.weights[l].row(i)[k] += x > 0 ? T(l1) : -T(l1);
            }
        total += l1 * sum;
    }
    return total;
}

py::tuple loss_and_gradient(const Settings& given_settings, const py::dict& parameters, const py::tuple& batch,
                            const py::object& targets, const py::list& noise, const py::list& dropout) {
    return with_dtype(given_settings, [&](auto type) -> py::tuple {
        using T = decltype(type);
        network::Table<T> table = batch_table<T>(batch);
        Settings s = given_settings.for_rows(table.rows);
        for (Layer& layer : s.layers) layer.frozen = false;  // computes the gradient of frozen layers, too
        read_targets(targets, s, table);
        Models<T> models(s, parameters);
        HiddenArrays<T> added(noise), factors(dropout);
        Array<double> loss(models.count);
        double* const losses = loss.mutable_data();
        std::vector<T*> to;
        const py::dict gradients = parameter_arrays<T>(s, models.count, to);
        compute([&](StopToken& stop) {
            complete(s, table);
            RowsPass<T> pass(s);
            const ParameterList<T> gradient = pass.gradient.list(s);
            Step<T> step;
            step.show(table);
            std::vector<double> sums;
            pass.watch = [&](std::size_t l, std::ptrdiff_t, std::ptrdiff_t rows, Panel<T> a) {
                if (l == s.hidden() || s.layers[l].l1_activations == 0) return;
                for (std::ptrdiff_t b = 0; b < rows; ++b)
                    for (std::ptrdiff_t j = 0; j < a.features; ++j) sums[l] += std::abs(double(a.line(j)[b]));
            };
            for (std::int64_t i = 0; i < models.count && !stop.stopped(); ++i) {
                models.read(i);
                step.noise = added.read(i);
                step.dropout = factors.read(i);
                sums.assign(s.hidden(), 0);
                losses[i] = s.scale * pass(models.weights, step, true, true, stop);
                for (std::size_t l = 0; l < s.hidden(); ++l)
                    losses[i] += s.layers[l].l1_activations * s.scale * sums[l];
                losses[i] += weight_penalty(s, models.weights, pass.gradient);
                for (std::size_t p = 0; p < gradient.size(); ++p)
                    gradient[p].matrix->copy_to(to[p] + i * gradient[p].size());
            }
        });
        return py::make_tuple(loss, gradients);
    });
}

}  // namespace

void add_network_objective(py::module_& m) {
    m.def("network_forward", &forward, "settings"_a, "parameters"_a, "batch"_a, "noise"_a);
    m.def("network_loss_and_gradient", &loss_and_gradient, "settings"_a, "parameters"_a, "batch"_a, "targets"_a,
          "noise"_a, "dropout"_a);
}

}  // namespace fastpolysem::bindings
