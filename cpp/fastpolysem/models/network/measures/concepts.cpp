#include "fastpolysem/models/network/measures/concepts.hpp"

#include <algorithm>
#include <cmath>

#include "fastpolysem/models/network/passes/loss.hpp"

namespace fastpolysem::network {
namespace {

bool is_signed(const Settings& s) {
    return s.inputs == Inputs::independent && std::any_of(s.magnitude.begin(), s.magnitude.end(), [](FeatureValue v) {
               return v == FeatureValue::sign || v == FeatureValue::signed_uniform;
           });
}

std::vector<std::int32_t> outputs_of_concepts(const Settings& s) {
    std::vector<std::int32_t> output;
    const auto each_output = [&] {
        for (std::ptrdiff_t j = 0; j < s.n_outputs(); ++j) output.push_back(std::int32_t(j));
    };
    if (s.loss == Loss::cross_entropy) {
        output.assign(std::size_t(s.n_outputs()), Concepts::whole_loss);
    } else if (s.target == Target::clauses) {
        for (std::size_t j = 0; j < s.formulas.size(); ++j)
            output.insert(output.end(), s.formulas[j].size(), std::int32_t(j));
    } else {
        each_output();
        if (s.elementwise() && is_signed(s)) each_output();
    }
    return output;
}

// The c that minimises the sum over b of |c - t_b|^q, by bisection of its slope.
double best_constant(const std::vector<double>& targets, int halves) {
    double low = targets[0], high = targets[0];
    for (const double t : targets) low = std::min(low, t), high = std::max(high, t);
    const auto root = [](double a) { return std::sqrt(a); };
    for (int i = 0; i < 60 && low < high; ++i) {
        const double c = (low + high) / 2;
        double slope = 0;
        for (const double t : targets) {
            const double size = power_in_halves(std::abs(c - t), 1.0, halves - 2, root);
            slope += c > t ? size : c < t ? -size : 0;
        }
        (slope < 0 ? low : high) = c;
    }
    return (low + high) / 2;
}

}  // namespace

std::ptrdiff_t own_concept_count(const Settings& s) { return std::ptrdiff_t(outputs_of_concepts(s).size()); }

std::vector<std::int32_t> measured_order(const Settings& s, std::int64_t rows) {
    const std::int64_t shown = s.inputs == Inputs::dataset ? std::min(rows, measured_rows) : rows;
    std::vector<std::int32_t> order;
    for (std::int64_t i = 0; i < shown; ++i) order.push_back(std::int32_t(i * rows / shown));
    return order;
}

template <class T>
Concepts own_concepts(const Settings& s, const Step<T>& step) {
    Concepts found;
    found.output = outputs_of_concepts(s);
    std::vector<double> target(std::size_t(s.n_outputs()));
    std::vector<T> input(std::size_t(s.n_inputs()));
    const auto apart = is_signed(s) ? std::int32_t(s.n_inputs()) : 0;  // offset from +i to -i
    for (std::ptrdiff_t b = 0; b < step.rows; ++b) {
        const std::size_t begin = found.index.size();
        if (s.loss == Loss::cross_entropy) {
            found.index.push_back(step.labels[step.table_row(b)]);
        } else if (s.elementwise()) {
            step.each_input(b, [&](std::int32_t i, T x) { found.index.push_back(x < 0 ? apart + i : i); });
            std::sort(found.index.begin() + std::ptrdiff_t(begin), found.index.end());
        } else if (s.target == Target::clauses) {
            std::fill(input.begin(), input.end(), T(0));
            step.each_input(b, [&](std::int32_t i, T x) { input[std::size_t(i)] = x; });
            std::int32_t number = 0;
            for (const auto& formula : s.formulas)
                for (const auto& clause : formula) {
                    if (holds(clause, [&](std::int64_t i) { return input[std::size_t(i)]; }))
                        found.index.push_back(number);
                    ++number;
                }
        } else {
            targets_of(s, step, b, target.data());
            for (std::ptrdiff_t j = 0; j < s.n_outputs(); ++j)
                if (s.target == Target::parity || target[std::size_t(j)] > 0) found.index.push_back(std::int32_t(j));
        }
        found.row_start.push_back(std::int64_t(found.index.size()));
    }
    return found;
}

namespace {

// The loss of the best constant output in every row: per output, or per class with the cross-entropy.
template <class T>
class ConstantOutputs {
  public:
    ConstantOutputs(const Settings& s, const Step<T>& step, StopToken& stop) : s_(s), loss_(s) {
        const auto outputs = std::size_t(s.n_outputs());
        if (s.loss == Loss::cross_entropy) {
            std::vector<double> rows(outputs);
            for (std::ptrdiff_t b = 0; b < step.rows; ++b) ++rows[std::size_t(step.labels[step.table_row(b)])];
            for (const double count : rows) constant_.push_back(-math::log(count / double(step.rows)));
            return;
        }
        constant_.assign(outputs, 0);
        std::vector<double> row(outputs);
        if (s.loss != Loss::power || s.power == 2) {  // the mean
            for (std::ptrdiff_t b = 0; b < step.rows; ++b) {
                targets_of(s, step, b, row.data());
                for (std::size_t j = 0; j < outputs; ++j) constant_[j] += row[j];
            }
            for (double& c : constant_) c /= double(step.rows);
            return;
        }
        const std::size_t at_once = std::max<std::size_t>(1, targets_at_once / std::size_t(step.rows));
        for (std::size_t first = 0; first < outputs && !stop.stopped(); first += at_once) {
            std::vector<std::vector<double>> targets(std::min(at_once, outputs - first));
            for (std::ptrdiff_t b = 0; b < step.rows; ++b) {
                targets_of(s, step, b, row.data());
                for (std::size_t j = 0; j < targets.size(); ++j) targets[j].push_back(row[first + j]);
            }
            for (std::size_t j = 0; j < targets.size() && !stop.stopped(); ++j)
                constant_[first + j] = best_constant(targets[j], int(2 * s.power));
        }
    }
    double operator()(std::int32_t output, const double* target, std::int32_t label) const {
        if (s_.loss == Loss::cross_entropy) return constant_[std::size_t(label)];
        if (output != Concepts::whole_loss) return term(std::size_t(output), target[output]);
        double sum = 0;
        for (std::size_t j = 0; j < constant_.size(); ++j) sum += loss_.importance(j) * term(j, target[j]);
        return sum;
    }

  private:
    static constexpr std::size_t targets_at_once = 1 << 20;

    double term(std::size_t j, double t) const {
        const double c = constant_[j];
        if (s_.loss == Loss::power) return loss_.term(c, t);
        double sum = 0;  // skips terms with factor 0, whose logarithm may be infinite
        if (t > 0) sum -= t * math::log(c);
        if (t < 1) sum -= (1 - t) * math::log(1 - c);
        return sum;
    }

    const Settings& s_;
    LossGradient<T> loss_;
    std::vector<double> constant_;  // outputs, probabilities, or losses of the classes
};

}  // namespace

template <class T>
void complete(const Settings& s, const Step<T>& step, Concepts& concepts, StopToken& stop) {
    const ConstantOutputs<T> constant(s, step, stop);
    const auto count = std::size_t(concepts.count());
    concepts.rows.assign(count, 0);
    concepts.constant_loss.assign(count, 0);
    std::vector<double> target(std::size_t(s.n_outputs()));
    for (std::ptrdiff_t b = 0; b < step.rows; ++b) {
        targets_of(s, step, b, target.data());
        const std::int32_t label = step.labels ? step.labels[step.table_row(b)] : -1;
        for (auto e = concepts.row_start[std::size_t(b)]; e < concepts.row_start[std::size_t(b) + 1]; ++e) {
            const auto i = std::size_t(concepts.index[std::size_t(e)]);
            ++concepts.rows[i];
            concepts.constant_loss[i] += constant(concepts.output[i], target.data(), label);
        }
    }
    for (std::size_t i = 0; i < count; ++i) concepts.constant_loss[i] /= concepts.rows[i];
}

template <class T>
void share_concepts(Settings& s, StopToken& stop) {
    Shared<T>& shared = s.shared<T>();
    shared.measured = std::make_shared<std::vector<std::int32_t>>(measured_order(s, shared.evaluation->rows));
    const Step<T> step = measured_step(shared);
    const auto concepts = std::make_shared<Concepts>(own_concepts(s, step));
    complete(s, step, *concepts, stop);
    shared.concepts = concepts;
}

template void share_concepts<float>(Settings&, StopToken&);
template void share_concepts<double>(Settings&, StopToken&);
template Concepts own_concepts(const Settings&, const Step<float>&);
template Concepts own_concepts(const Settings&, const Step<double>&);
template void complete(const Settings&, const Step<float>&, Concepts&, StopToken&);
template void complete(const Settings&, const Step<double>&, Concepts&, StopToken&);

}  // namespace fastpolysem::network
