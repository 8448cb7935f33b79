#include "fastpolysem/models/network/model/sampler.hpp"

namespace fastpolysem::network {
namespace {

bool computes_targets(const Settings& s) {
    return s.sampled() && (s.target == Target::clauses || s.target == Target::parity);
}

// Memory of a step's sparse rows.
template <class T>
double sampled_bytes(const Settings& s) {
    return s.sampled() ? row_bytes<T>(s.rows(), s.active_per_row(), s.inputs == Inputs::independent) : 0;
}

std::int64_t data_rows(const Settings& s) {
    if (s.inputs != Inputs::dataset) return 0;
    return s.dtype == Dtype::float32 ? s.in_float.data->rows : s.in_double.data->rows;
}
double order_bytes(const Settings& s) {
    return (s.full_batch ? 0 : RowOrder::bytes(s, data_rows(s))) +
           (s.label_noise == 0 ? 0 : double(data_rows(s)) * sizeof(std::int32_t));
}

}  // namespace

template <class T>
SeedSampler<T>::SeedSampler(const Settings& s, StopToken& stop)
    : s_(s), stop_(stop), features_(features_of(s)), formula_targets_(s), disturbances_(s, stop) {
    if (s.sampled()) {
        step_.rows = s.rows();
        if (samples_densely(s)) {
            dense_ = Matrix<T>(s.rows(), s.n_inputs());
            step_.dense = &dense_;
        } else {
            step_.sparse = &rows_;
        }
    } else {
        step_.show(*s.template shared<T>().data);
        step_.rows = s.rows();
    }
    if (computes_targets(s)) {
        targets_ = Matrix<T>(s.rows(), s.n_outputs());
        step_.targets = &targets_;
    }
    step_.drawn = &disturbances_;
}

template <class T>
double SeedSampler<T>::bytes(const Settings& s) {
    double sum = sampled_bytes<T>(s) + order_bytes(s) + double(s.n_inputs()) * (sizeof(T) + 24);
    if (computes_targets(s)) sum += Matrix<T>::bytes(s.rows(), s.n_outputs());
    if (samples_densely(s)) sum += Matrix<T>::bytes(s.rows(), s.n_inputs());
    return sum;
}

template <class T>
void SeedSampler<T>::start(std::uint64_t seed) {
    seed_ = seed;
    if (s_.label_noise == 0) return;
    draw_labels(s_, seed, s_.template shared<T>().data->labels, labels_, &stop_);
    step_.labels = labels_.data();
}

template <class T>
void SeedSampler<T>::take(std::int64_t step) {
    step_.index = step;
    step_.l1_factor = s_.l1_schedule.at(step);
    if (s_.sampled()) {
        draw_rows(s_, features_, input_stream(s_, seed_, inputs_kind, step, &stop_),
                  input_stream(s_, seed_, magnitudes_kind, step, &stop_), s_.rows(), rows_);
        if (step_.dense) make_dense(rows_, dense_);
    } else if (!s_.full_batch && s_.inputs == Inputs::dataset) {
        step_.order = order_.take(s_, seed_, step, s_.template shared<T>().data->rows, &stop_);
    }
    if (computes_targets(s_)) formula_targets_(step_, targets_);
    disturbances_.take(seed_, step);
}

template <class T>
LanesSampler<T>::LanesSampler(const Settings& s, StopToken& stop)
    : s_(s), stop_(stop), features_(features_of(s)), orders_(width), labels_(width) {
    using Table = typename LanesStep<T>::Table;
    step_.rows = s.rows();
    if (!s.sampled()) table_.show(*s.template shared<T>().data);
    const bool shared = s.inputs == Inputs::basis || (s.inputs == Inputs::dataset && s.full_batch);
    if (shared) {
        step_.shared = &table_;
    } else {
        step_.inputs = Table(s.rows(), s.n_inputs());
        if (s.loss != Loss::cross_entropy && !s.elementwise()) step_.targets = Table(s.rows(), s.n_outputs());
    }
    if (s.loss == Loss::cross_entropy && (!shared || s.label_noise != 0))
        step_.labels.assign(std::size_t(s.rows() * width), -1);
    for (std::size_t l = 0; l < s.hidden(); ++l) {
        const auto table = [&](bool there, Sharing sharing) {
            return there ? Table(s.rows(sharing), s.layers[l].outputs, sharing == Sharing::step) : Table();
        };
        step_.noise.push_back(table(s.has_noise(l), s.noise_sharing));
        step_.dropout.push_back(table(s.has_dropout(l), s.dropout_sharing));
    }
}

template <class T>
double LanesSampler<T>::bytes(const Settings& s) {
    const double lane_bytes = double(width) * sizeof(T);
    double sum = sampled_bytes<T>(s) + width * order_bytes(s) + double(s.rows()) * width * sizeof(std::int32_t) +
                 double(s.rows() + lane_rows) * double(s.n_inputs() + s.n_outputs()) * lane_bytes;
    for (std::size_t l = 0; l < s.hidden(); ++l) {
        const auto numbers = [&](Sharing sharing) {
            return double(s.rows(sharing) + lane_rows) * double(s.layers[l].outputs);
        };
        if (s.has_noise(l)) sum += numbers(s.noise_sharing) * lane_bytes;
        if (s.has_dropout(l)) sum += numbers(s.dropout_sharing) * lane_bytes;
    }
    return sum;
}

template <class T>
void LanesSampler<T>::start(const std::uint64_t* seeds, std::int64_t count) {
    for (int lane = 0; lane < random::Word::width; ++lane) {
        const std::uint64_t seed = seeds[std::min<std::int64_t>(lane % width, count - 1)];
        if (lane < width) seeds_[lane] = seed;
        key_low_.v[lane] = std::uint32_t(seed);
        key_high_.v[lane] = std::uint32_t(seed >> 32);
    }
    if (s_.label_noise == 0) return;
    for (int lane = 0; lane < width; ++lane)
        draw_labels(s_, seeds_[lane], s_.template shared<T>().data->labels, labels_[std::size_t(lane)], &stop_);
    if (step_.shared) take_labels();
}

template <class T>
void LanesSampler<T>::take(std::int64_t step) {
    step_.index = step;
    step_.l1_factor = s_.l1_schedule.at(step);
    if (!step_.shared) take_rows(step);
    for (std::size_t l = 0; l < s_.hidden(); ++l) {
        const std::ptrdiff_t units = s_.layers[l].outputs;
        std::ptrdiff_t row = 0, unit = 0;
        typename LanesStep<T>::Table* table = nullptr;
        const auto put = [&](std::int64_t, simd::Pack<T> draws) {
            draws.store(table->at(row, unit));
            if (++unit == units) unit = 0, ++row;
        };
        if (s_.has_noise(l)) {
            table = &step_.noise[l];
            draw_lane_noise<T>(s_.noise_of(l), NoiseShape(s_.noise_of(l)),
                               lanes(layer_stream(s_, 0, noise_kind, step, l)), s_.rows(s_.noise_sharing) * units, put);
        }
        row = unit = 0;
        if (s_.has_dropout(l)) {
            table = &step_.dropout[l];
            draw_lane_dropout<T>(s_.layers[l].dropout, lanes(layer_stream(s_, 0, dropout_kind, step, l)),
                                 s_.rows(s_.dropout_sharing) * units, put);
        }
    }
}

template <class T>
void LanesSampler<T>::take_rows(std::int64_t step) {
    if (s_.inputs == Inputs::independent) {
        features_.draw(lanes(input_stream(s_, 0, inputs_kind, step)), lanes(input_stream(s_, 0, magnitudes_kind, step)),
                       s_.rows(), [&](std::int64_t row, std::int64_t i, random::Real x) {
                           T* const to = step_.inputs.at(row, i);
                           for (int lane = 0; lane < width; ++lane) to[lane] = T(x[lane]);
                       });
    } else {
        step_.inputs.data.clear();
        for (int lane = 0; lane < width; ++lane) {
            if (s_.inputs == Inputs::dataset) {
                const std::int64_t count = s_.template shared<T>().data->rows;
                table_.order = orders_[std::size_t(lane)].take(s_, seeds_[lane], step, count, &stop_);
                for (std::int64_t b = 0; b < s_.rows(); ++b) put_row(lane, b);
            } else {
                draw_rows(s_, features_, input_stream(s_, seeds_[lane], inputs_kind, step, &stop_),
                          input_stream(s_, seeds_[lane], magnitudes_kind, step, &stop_), s_.rows(), lane_rows_);
                table_.sparse = &lane_rows_;
                for (std::int64_t b = 0; b < s_.rows(); ++b) put_row(lane, b);
            }
        }
    }
    if (computes_targets(s_)) take_formula_targets();
}

// Writes row b of what the table presents to a lane.
template <class T>
void LanesSampler<T>::put_row(int lane, std::int64_t b) {
    table_.each_input(b, [&](std::int32_t i, T x) { step_.inputs.at(b, i)[lane] = x; });
    const std::ptrdiff_t row = table_.table_row(b);
    if (table_.labels)
        step_.labels[std::size_t(b * width + lane)] =
            s_.label_noise == 0 ? table_.labels[row] : labels_[std::size_t(lane)][std::size_t(row)];
    if (table_.targets)
        for (std::ptrdiff_t j = 0; j < s_.n_outputs(); ++j) step_.targets.at(b, j)[lane] = table_.targets->row(row)[j];
}

// The classes of all rows for every lane; they do not change.
template <class T>
void LanesSampler<T>::take_labels() {
    for (std::int64_t b = 0; b < s_.rows(); ++b)
        for (int lane = 0; lane < width; ++lane)
            step_.labels[std::size_t(b * width + lane)] = labels_[std::size_t(lane)][std::size_t(b)];
}

template <class T>
void LanesSampler<T>::take_formula_targets() {
    for (std::int64_t b = 0; b < s_.rows(); ++b)
        for (int lane = 0; lane < width; ++lane)
            formula_targets<T>(
                s_, [&](std::int64_t i) { return step_.inputs.at(b, i)[lane]; },
                [&](std::ptrdiff_t j, T target) { step_.targets.at(b, j)[lane] = target; });
}

template class SeedSampler<float>;
template class SeedSampler<double>;
template class LanesSampler<float>;
template class LanesSampler<double>;

}  // namespace fastpolysem::network
