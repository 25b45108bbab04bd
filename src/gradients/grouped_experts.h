// Experts of an MoE layer in training, all of one form (gradients/expert_form.h) and width: all rows of all experts in a few parallel regions, nothing dropped, nothing padded.
//
// Rows are sorted by expert, as MegaBlocks does (Gale et al. 2022, "MegaBlocks: Efficient Sparse Training with Mixture-of-Experts"). The weight
// of a choice multiplies the hidden numbers before the down projection: so its gradient needs no output of the expert to be kept.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gradients/expert_form.h"
#include "gradients/room.h"
#include "kernels/matrix.h"

namespace moiety {

// Choices of all rows in two orders: by row, and by expert ("slots"; within an expert by row).
struct ExpertSlots {
  std::vector<size_t> first_of_row;     // [rows + 1] into slot_of
  std::vector<uint32_t> slot_of;        // [slots] the slot of each choice, row by row
  std::vector<size_t> first_of_expert;  // [experts + 1] into the slots
  std::vector<uint32_t> row_of;         // [slots]

  size_t rows() const { return first_of_row.size() - 1; }
  size_t experts() const { return first_of_expert.size() - 1; }
  size_t slots() const { return slot_of.size(); }
};
// expert: [slots] of the choices, row by row; choices of row r are [first[r], first[r + 1]).
ExpertSlots expert_slots(std::span<const int64_t> first, std::span<const int32_t> expert, size_t experts);

// Weights of all experts.  in: [experts, form.inner width, d], of SwiGLU the gate's rows first; down: [experts, d, width].
struct ExpertWeights {
  const ExpertForm& form;
  const float *in, *down;
  size_t width;
  Precision precision = Precision::f32;  // of the products, forward and backward
};
struct ExpertGradients {
  float *in, *down;  // added to, or written where `add` is false; null: not wanted
  bool add;
};

// y[r] = sum over r's choices, in the order given, of weight * expert(x[r]).  weight: [slots] row by row. inner: [slots, form.inner width] by expert,
// kept for the backward pass.
void grouped_experts(const ExpertSlots& slots, const ExpertWeights& w, ConstRows x, std::span<const float> weight, float* inner, Rows y,
                     GradientRoom& room, Workers& workers);

// From dy to dx (written), d_weight ([slots] row by row, written) and the weights' gradients.
void grouped_experts_gradient(const ExpertSlots& slots, const ExpertWeights& w, ConstRows x, std::span<const float> weight, const float* inner,
                              ConstRows dy, Rows dx, std::span<float> d_weight, const ExpertGradients& gradients, GradientRoom& room, Workers& workers);

}  // namespace moiety
