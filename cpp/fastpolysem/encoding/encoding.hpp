// A single encoding under l1: dw/dt = (1 - |w|^2) w - lambda for every weight still above zero, in Euler steps.
//
// All survivors share one factor, so w_i(t) = alpha(t) w_i(0) - lambda beta(t), which holds exactly for Euler steps:
//
//     alpha <- alpha (1 + h a),   beta <- beta (1 + h a) + h,   a = 1 - |w|^2
//     |w|^2 = alpha^2 Q - 2 alpha lambda beta P + f (lambda beta)^2
//
// with P and Q the sums of w(0) and w(0)^2 over the f survivors, which are the initially largest weights. After sorting
// once, a step costs O(1) for any number of weights; each weight is removed once. Between removals the two norms can be
// advanced directly, |w|_1 <- F |w|_1 - f h lambda and |w|^2 <- F^2 |w|^2 - 2 F h lambda |w|_1 + f (h lambda)^2 with F
// = 1 + h a: the short chain of dependent operations that sets the speed. They are recomputed from alpha and beta at
// every removal and record.
#pragma once

#include <cstdint>
#include <vector>

#include "fastpolysem/infra/stop_token.hpp"

namespace fastpolysem {

struct EncodingRecord {
    double l1_norm, squared_norm, largest, second;
    std::int64_t support;
};

// |N(0, deviation^2)|, the initial encoder weights of an autoencoder with one feature.
void draw_encoding(std::uint64_t seed, std::int64_t m, float deviation, float* to);

// Euler steps of length h from a non-negative start until `end`, with a record at the first step that reaches each of
// the times (ascending). Empty if stopped.
std::vector<EncodingRecord> run_encoding(std::vector<float> start, double l1, double h, double end,
                                         const std::vector<double>& times, StopToken& stop);

}  // namespace fastpolysem
