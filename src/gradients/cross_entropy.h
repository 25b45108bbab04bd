// The output head and its loss at once: logits live for a few hundred rows at a time, never for all.
//
// Loss of a row with logits z and target t: log sum exp z - z[t], and z_loss * (log sum exp z)^2 (Chowdhery et al. 2022, "PaLM", section 5).
// Since both are known when the logits are, their gradients are computed in the same pass, as in Hsu et al. 2024, "Liger Kernel", section 3.2.
#pragma once
#include <cstdint>
#include <span>

#include "gradients/room.h"
#include "kernels/matrix.h"

namespace moiety {

struct HeadLoss {
  std::span<const int32_t> targets;  // [rows]; a row whose target is negative costs nothing
  float scale;                       // of every row's loss in the gradients: 1 / rows that count
  float z_loss = 0;
  Precision precision = Precision::f32;  // of the products; losses and probabilities are float32
};

// head: [vocabulary, d]. nll, log_sums: [rows] of each row, zero where the target is negative. dx is written; d_head is added to, or
// written where `add` is false.
void head_cross_entropy(const HeadLoss& loss, ConstRows x, const float* head, size_t vocabulary, float* nll, float* log_sums, Rows dx, float* d_head,
                        bool add, GradientRoom& room, Workers& workers);

// The losses alone.
void head_losses(const HeadLoss& loss, ConstRows x, const float* head, size_t vocabulary, float* nll, float* log_sums, GradientRoom& room, Workers& workers);

}  // namespace moiety
