// RMSNorm in training. Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
#pragma once
#include "gradients/room.h"
#include "kernels/matrix.h"

namespace moiety {

// y = x * factor * weight with factor = 1 / sqrt(mean(x^2) + eps), kept for the backward pass.  factors: [rows]
void rms_norm(ConstRows x, const float* weight, float eps, Rows y, float* factors, Workers& workers);

// dx is written; d_weight [cols] is added to, or written where `add` is false; null: not wanted.
void rms_norm_gradient(ConstRows x, const float* weight, const float* factors, ConstRows dy, Rows dx, float* d_weight, bool add, GradientRoom& room,
                       Workers& workers);

}  // namespace moiety
