// Noise and dropout of a seed's step, drawn on request: as whole matrices, or panel by panel where a kernel supports
// it.
#pragma once

#include "fastpolysem/models/network/model/settings.hpp"

namespace fastpolysem::network {

template <class T>
class Disturbances {
  public:
    Disturbances(const Settings& s, StopToken& stop) : s_(s), stop_(stop), noise_(s.hidden()), dropout_(s.hidden()) {}
    // Of the matrices.
    static double bytes(const Settings& s) {
        double sum = 0;
        for (std::size_t l = 0; l < s.hidden(); ++l) sum += noise_bytes(s, l) + dropout_bytes(s, l);
        return sum;
    }
    static double noise_bytes(const Settings& s, std::size_t l) {
        return s.has_noise(l) ? Matrix<T>::bytes(s.rows(s.noise_sharing), s.layers[l].outputs) : 0;
    }
    static double dropout_bytes(const Settings& s, std::size_t l) {
        return s.has_dropout(l) ? Matrix<T>::bytes(s.rows(s.dropout_sharing), s.layers[l].outputs) : 0;
    }
    // Whether the numbers of a layer's row fill whole blocks, so that rows can be drawn separately.
    static bool noise_by_panels(const Settings& s, std::size_t l) {
        return s.has_noise(l) && s.noise_sharing == Sharing::input && s.noise != Noise::rademacher &&
               s.layers[l].outputs % NoiseShape(s.noise_of(l)).elements_per_block() == 0;
    }
    static bool dropout_by_panels(const Settings& s, std::size_t l) {
        return s.has_dropout(l) && s.dropout_sharing == Sharing::input && s.layers[l].outputs % 4 == 0;
    }

    void take(std::uint64_t seed, std::int64_t step) {
        seed_ = seed;
        step_ = step;
        for (auto* of : {&noise_, &dropout_})
            for (Drawn& drawn : *of) drawn.is_there = false;
    }
    random::StreamPosition noise_stream(std::size_t l) const {
        return layer_stream(s_, seed_, noise_kind, step_, l, &stop_);
    }
    random::StreamPosition dropout_stream(std::size_t l) const {
        return layer_stream(s_, seed_, dropout_kind, step_, l, &stop_);
    }
    const Settings& settings() const { return s_; }

    // Null where the layer has none.
    const Matrix<T>* noise(std::size_t l) const {
        if (!s_.has_noise(l)) return nullptr;
        return noise_[l].matrix(s_.rows(s_.noise_sharing), s_.layers[l].outputs,
                                [&](Matrix<T>& to) { draw_noise(s_.noise_of(l), noise_stream(l), to); });
    }
    const Matrix<T>* dropout(std::size_t l) const {
        if (!s_.has_dropout(l)) return nullptr;
        return dropout_[l].matrix(s_.rows(s_.dropout_sharing), s_.layers[l].outputs,
                                  [&](Matrix<T>& to) { draw_dropout(s_.layers[l].dropout, dropout_stream(l), to); });
    }

  private:
    struct Drawn {
        Matrix<T> values;
        bool is_there = false;
        template <class Draw>
        const Matrix<T>* matrix(std::ptrdiff_t rows, std::ptrdiff_t columns, Draw draw) {
            if (values.empty()) values = Matrix<T>(rows, columns);
            if (!is_there) draw(values);
            is_there = true;
            return &values;
        }
    };

    const Settings& s_;
    StopToken& stop_;
    std::uint64_t seed_ = 0;
    std::int64_t step_ = 0;
    mutable std::vector<Drawn> noise_, dropout_;
};

template <class T>
const Matrix<T>* Step<T>::noise_of(std::size_t l) const {
    if (drawn) return drawn->noise(l);
    return l < noise.size() ? noise[l] : nullptr;
}
template <class T>
const Matrix<T>* Step<T>::dropout_of(std::size_t l) const {
    if (drawn) return drawn->dropout(l);
    return l < dropout.size() ? dropout[l] : nullptr;
}
template <class T>
bool Step<T>::has_noise(std::size_t l) const {
    return drawn ? drawn->settings().has_noise(l) : l < noise.size() && noise[l];
}
template <class T>
bool Step<T>::has_dropout(std::size_t l) const {
    return drawn ? drawn->settings().has_dropout(l) : l < dropout.size() && dropout[l];
}

}  // namespace fastpolysem::network
