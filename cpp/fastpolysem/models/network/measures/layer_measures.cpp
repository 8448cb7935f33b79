#include "fastpolysem/models/network/measures/layer_measures.hpp"

#include <algorithm>

namespace fastpolysem::network {

std::int64_t not_learned(const Concepts& concepts, const std::vector<double>& loss) {
    std::int64_t count = 0;
    for (std::size_t i = 0; i < loss.size(); ++i) count += concepts.rows[i] > 0 && !is_learned(concepts, loss, i);
    return count;
}

void LayerMeasures::add(const double* rises, const Concepts& concepts, const std::vector<double>& loss) {
    double sum = 0, squares = 0, first = 0, second = 0;
    std::int64_t served = 0;
    for (std::size_t i = 0; i < of_concept_.size(); ++i) {
        const double v = rises[i] > 0 ? rises[i] : 0;  // NaN for a concept without rows
        sum += v;
        squares += v * v;
        of_concept_[i] += v;
        squares_[i] += v * v;
        second = std::max(second, std::min(first, v));
        first = std::max(first, v);
        const double gained = concepts.constant_loss[i] - loss[i];
        served += gained > 0 && v >= serves * gained;
    }
    ++neurons_;
    total_ += sum;
    if (second > 0 && second >= shared_from * first) shared_ += sum;
    if (squares > 0) weighted_concepts_ += sum * (sum * sum / squares);
    serving += served >= 1;
    polysemantic += served >= 2;
}

double LayerMeasures::shared_use() const { return total_ > 0 ? shared_ / total_ : 0; }

// Rounding may lift a mean above the largest value.
double LayerMeasures::effective_concepts() const {
    return total_ > 0 ? std::min(weighted_concepts_ / total_, double(of_concept_.size())) : 0;
}

double LayerMeasures::neurons_per_concept() const {
    double weighted = 0;
    for (std::size_t i = 0; i < of_concept_.size(); ++i)
        if (squares_[i] > 0) weighted += of_concept_[i] * (of_concept_[i] * of_concept_[i] / squares_[i]);
    return total_ > 0 ? std::min(weighted / total_, double(neurons_)) : 0;
}

}  // namespace fastpolysem::network
