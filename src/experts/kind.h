// What an expert can be: its parts and what it does with a row. A kind is a file (experts/kind_*.cc) and a line in experts/kinds.cc.
//
// An FFN is down(unit(up x)), or down(act(gate x) * up x) where it has a gate. Other kinds that serve rows compute next to nothing.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/threads.h"
#include "kernels/matrix.h"

namespace moiety {

struct ExpertView;

enum class PartRole : uint16_t { gate, up, down, gate_bias, up_bias, down_bias, query, output, share, vector };
// Float32, read as it lies.
constexpr bool is_vector(PartRole role) { return role == PartRole::gate_bias || role == PartRole::up_bias || role == PartRole::down_bias || role == PartRole::vector; }

// A part as a model stores it: for all experts of a group a tensor, "ffn_up_exps.weight"; of a vector, ".bias".
enum class PartSize : uint8_t { model, width, two };  // d_model; of the expert; 2
struct PartShape {
  PartRole role;
  std::string_view tensor;     // "ffn_up"
  PartSize rows, cols;         // of a vector: rows
  bool where_biased = false;   // only in models whose experts have biases
};

// What one expert of a kind that is no FFN gives to the rows that it serves.
class RowExpert {
 public:
  virtual ~RowExpert() = default;
  // y = columns [begin, begin + y.size()) of the output for the i-th of those rows, `x`.
  virtual void output(std::span<const float> x, size_t i, size_t begin, std::span<float> y) const = 0;
};

struct ExpertKind {
  std::string_view name;         // "ffn"
  std::string_view config_name;  // in a model's own list of experts; empty: only families of models have it
  std::span<const PartShape> parts;
  bool has_gate = false;
  void (*unit)(std::span<float> x) = nullptr;  // of an FFN without a gate, in place; with one it is the model's activation
  // Of other kinds that serve rows: for rows `rows` of x. An Error where a part is missing. Null: what it gives is zero.
  std::unique_ptr<RowExpert> (*serve)(const ExpertView& expert, ConstRows x, std::span<const uint32_t> rows, Workers& workers) = nullptr;

  bool is_ffn() const { return has_gate || unit; }
  bool has_width() const;
};

// All kinds.
std::span<const ExpertKind* const> all_expert_kinds();
// Those that families of models are made of.
extern const ExpertKind ffn_expert, copy_expert, attention_expert;

// The parts of FFNs.
inline constexpr PartShape ffn_expert_parts[] = {{PartRole::gate, "ffn_gate", PartSize::width, PartSize::model},
                                                 {PartRole::up, "ffn_up", PartSize::width, PartSize::model},
                                                 {PartRole::down, "ffn_down", PartSize::model, PartSize::width},
                                                 {PartRole::gate_bias, "ffn_gate", PartSize::width, {}, true},
                                                 {PartRole::up_bias, "ffn_up", PartSize::width, {}, true},
                                                 {PartRole::down_bias, "ffn_down", PartSize::model, {}, true}};
inline constexpr PartShape plain_ffn_expert_parts[] = {ffn_expert_parts[1], ffn_expert_parts[2], ffn_expert_parts[4], ffn_expert_parts[5]};

}  // namespace moiety
