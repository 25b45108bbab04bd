// Rotary positions: pairs (x[i], x[i + n]) of every head turn by position * base^(-i / n), n being their number. Su et al. 2021, "RoFormer".
#pragma once
#include <vector>

#include "learn/pass.h"

namespace moiety {

struct RopeTable {
  at::Tensor cosines, sines;  // [length, pairs]
};
RopeTable rope_table(int64_t length, int64_t size, double base);  // size / 2 pairs
// Where a model scales its frequencies: of each pair an angle a position, and a factor on cosines and sines.
RopeTable rope_table(int64_t length, const std::vector<double>& frequencies, double factor);

// x: [sequences * length, heads * head]; row r stands at position r % length, of which the table has at least that many. The table's pairs begin
// `at` numbers behind the head's; what stands before and after them stays.
at::Tensor rope(const at::Tensor& x, const RopeTable& table, int64_t length, int64_t head, Pass& pass, int64_t at = 0);
at::Tensor plain_rope(const at::Tensor& x, const RopeTable& table, int64_t length, int64_t head, int64_t at = 0);

}  // namespace moiety
