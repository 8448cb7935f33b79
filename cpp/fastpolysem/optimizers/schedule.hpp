// Factors that change during a run, given at points: (step, factor), steps ascending.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace fastpolysem {

class Schedule {
  public:
    using Points = std::vector<std::pair<std::int64_t, double>>;

    Schedule() = default;  // always 1
    explicit Schedule(Points points) : points_(std::move(points)) {}
    const Points& points() const { return points_; }

    // The factor at a step, counted from 0: interpolated linearly between points, constant outside.
    double at(std::int64_t step) const {
        if (points_.empty()) return 1;
        const auto after = std::upper_bound(points_.begin(), points_.end(), step,
                                            [](std::int64_t t, const auto& point) { return t < point.first; });
        if (after == points_.begin()) return after->second;
        const auto [from, start] = *(after - 1);
        if (after == points_.end()) return start;
        const double part = double(step - from) / double(after->first - from);
        return start + (after->second - start) * part;
    }
    double last() const { return points_.empty() ? 1 : points_.back().second; }
    std::int64_t constant_from() const { return points_.empty() ? 0 : points_.back().first; }

  private:
    Points points_;
};

}  // namespace fastpolysem
