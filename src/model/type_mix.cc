#include "model/type_mix.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "formats/codec.h"

namespace moiety {
namespace {

enum class Part : uint8_t { token_embedding, output, query, key, value, attention_output, gate, up, down, other };

// When a rule holds. Layers count from 0 to n; "first eighth" is i < n / 8 in whole numbers.
enum class When : uint8_t {
  always,
  grouped,         // four or more heads share a key
  eight_experts,
  first_two,
  first_four,
  first_sixteenth,
  first_eighth,
  more_bits,       // the first and last eighth, and every third between
  first_eighth_without_importance,
  first_eighth_with_importance,
};

struct Rule {
  std::string_view mixes;  // names between spaces; "*" for all
  Part part;
  When when;
  TensorType type;
};

using enum TensorType;

// The first rule that matches holds; where none does, the tensor gets the mix's base type.
constexpr Rule rules[] = {
    {" mxfp4_moe ", Part::token_embedding, When::always, q8_0},
    {"*", Part::value, When::eight_experts, q8_0},
    {"*", Part::key, When::eight_experts, q8_0},
    {" q2_k ", Part::value, When::grouped, q4_k},
    {" q2_k ", Part::value, When::always, q3_k},
    {" q2_k_s ", Part::value, When::grouped, q4_k},
    {" q3_k_m ", Part::value, When::first_two, q5_k},
    {" q3_k_m ", Part::value, When::always, q4_k},
    {" q3_k_l ", Part::value, When::always, q5_k},
    {" iq4_nl iq4_xs ", Part::value, When::grouped, q5_k},
    {" q4_k_m q5_k_m ", Part::value, When::more_bits, q6_k},
    {" q4_k_s ", Part::value, When::first_four, q5_k},

    {" q2_k ", Part::down, When::always, q3_k},
    {" q2_k_s ", Part::down, When::first_eighth, q4_k},
    {" q3_k_m ", Part::down, When::first_sixteenth, q5_k},
    {" q3_k_m ", Part::down, When::always, q4_k},
    {" q3_k_l ", Part::down, When::always, q5_k},
    {" q4_k_m q5_k_m ", Part::down, When::more_bits, q6_k},
    {" iq4_nl iq4_xs ", Part::down, When::first_eighth_without_importance, q5_k},
    {" q4_k_s ", Part::down, When::first_eighth, q5_k},
    {" q4_0 ", Part::down, When::first_eighth_with_importance, q4_1},
    {" q5_0 ", Part::down, When::first_eighth_with_importance, q5_1},

    {" q2_k q3_k_s q3_k_m iq4_nl q4_k_s q4_k_m iq4_xs ", Part::attention_output, When::eight_experts, q5_k},
    // Other mixes of eight experts keep the base type there.
    {" q3_k_l ", Part::attention_output, When::eight_experts, q3_k},
    {" q2_k ", Part::attention_output, When::always, q3_k},
    {" q3_k_m ", Part::attention_output, When::always, q4_k},
    {" q3_k_l ", Part::attention_output, When::always, q5_k},
};

// Joined q, k and v count as v.
Part part_of(std::string_view name) {
  if (name == "output.weight") return Part::output;
  if (name == "token_embd.weight") return Part::token_embedding;
  struct Piece {
    std::string_view text;
    Part part;
  };
  constexpr Piece pieces[] = {
      {"attn_qkv.weight", Part::value}, {"attn_kv_b.weight", Part::value}, {"attn_v.weight", Part::value}, {"attn_k.weight", Part::key},
      {"attn_q.weight", Part::query},   {"attn_output.weight", Part::attention_output},
      {"ffn_up", Part::up},             {"ffn_gate", Part::gate},          {"ffn_down", Part::down},
  };
  for (const Piece& piece : pieces)
    if (name.find(piece.text) != name.npos) return piece.part;
  return Part::other;
}

// A tensor among those of its part: the i-th of n.
struct Place {
  size_t i, n;
};

bool holds(When when, const MixedModel& m, Place at) {
  const size_t i = at.i, n = at.n;
  switch (when) {
    case When::always: return true;
    case When::grouped: return m.query_groups >= 4;
    case When::eight_experts: return m.experts == 8;
    case When::first_two: return i < 2;
    case When::first_four: return i < 4;
    case When::first_sixteenth: return i < n / 16;
    case When::first_eighth: return i < n / 8;
    case When::more_bits: return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case When::first_eighth_without_importance: return i < n / 8 && !m.importance;
    case When::first_eighth_with_importance: return i < n / 8 && m.importance;
  }
  return false;
}

// The output head, and the embedding where it serves as one.
TensorType output_type(const TypeMix& mix, uint64_t row_length) {
  if (mix.name == "mxfp4_moe" || mix.base == q8_0 || row_length % type_info(mix.base).block != 0) return q8_0;
  return q6_k;
}

TensorType type_of(const TypeMix& mix, const MixedModel& model, const MixedTensor& tensor, Part part, Place at) {
  if (mix.pure || type_info(mix.base).block == 1) return mix.base;
  if (part == Part::output || (part == Part::token_embedding && model.tied_output)) return output_type(mix, tensor.row_length);
  if (mix.name == "mxfp4_moe") {
    const bool expert = tensor.stack && (part == Part::up || part == Part::gate || part == Part::down);
    return expert ? mxfp4 : q8_0;
  }
  TensorType type = mix.base;
  for (const Rule& rule : rules) {
    const bool named = rule.mixes == "*" || rule.mixes.find(" " + std::string(mix.name) + " ") != rule.mixes.npos;
    if (!named || rule.part != part || !holds(rule.when, model, at)) continue;
    type = rule.type;
    break;
  }
  if (part == Part::value && model.seventy_billion && (type == q3_k || type == q4_k)) type = q5_k;
  return type;
}

// "blk.12.ffn_down.weight" -> 12
std::optional<size_t> block_number(std::string_view name) {
  if (!name.starts_with("blk.")) return {};
  size_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), number);
  if (error != std::errc()) return {};
  return number;
}

std::string lower(std::string_view name) {
  std::string out(name);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

const std::vector<TypeMix>& mixes() {
  static const std::vector<TypeMix> all = {
      {"f32", f32, 0},      {"f16", f16, 1},      {"q4_0", q4_0, 2},    {"q4_1", q4_1, 3},    {"q8_0", q8_0, 7},    {"q5_0", q5_0, 8},
      {"q5_1", q5_1, 9},    {"q2_k", q2_k, 10},   {"q3_k_s", q3_k, 11}, {"q3_k_m", q3_k, 12}, {"q3_k_l", q3_k, 13}, {"q4_k_s", q4_k, 14},
      {"q4_k_m", q4_k, 15}, {"q5_k_s", q5_k, 16}, {"q5_k_m", q5_k, 17}, {"q6_k", q6_k, 18},   {"q2_k_s", q2_k, 21}, {"iq4_nl", iq4_nl, 25},
      {"iq4_xs", iq4_xs, 30}, {"bf16", bf16, 32}, {"mxfp4_moe", mxfp4, 38},
  };
  return all;
}

const TypeMix* find_mix(std::string_view name) {
  std::string wanted = lower(name);
  if (wanted == "q3_k" || wanted == "q4_k" || wanted == "q5_k") wanted += "_m";  // llama-quantize's short names
  for (const TypeMix& mix : mixes())
    if (mix.name == wanted) return &mix;
  for (std::string_view other : {"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "iq3_xs", "iq3_s", "iq3_m", "tq1_0", "tq2_0", "nvfp4", "q1_0", "q2_0"})
    if (wanted == other) throw UsageError("{} can be read but not written; q2_k is the smallest type that can", wanted);
  return nullptr;
}

TypeMix read_type(const std::string& name, bool pure) {
  if (!pure)
    if (const TypeMix* mix = find_mix(name)) return *mix;
  const auto type = type_by_name(name);
  if (!type || !can_encode(*type)) {
    if (const TypeMix* mix = find_mix(name)) return {mix->name, mix->base, mix->file_type, true};
    throw UsageError("'{}' is no type that can be written; f32, f16, bf16, q8_0, mxfp4 … are, and mixes: q4_k_m, q5_k_s, q3_k_l, q2_k …", name);
  }
  const auto like = std::ranges::find(mixes(), *type, &TypeMix::base);
  return {type_info(*type).name, *type, like == mixes().end() ? 0 : like->file_type, true};
}

std::vector<TensorType> mixed_types(const TypeMix& mix, const MixedModel& model, const std::vector<MixedTensor>& tensors) {
  size_t values = 0, value = 0, down = 0;
  for (const MixedTensor& t : tensors) values += part_of(t.name) == Part::value && takes_mixed_type(t.name);
  std::vector<TensorType> out;
  for (const MixedTensor& t : tensors) {
    const Part part = part_of(t.name);
    if (!takes_mixed_type(t.name)) {
      out.push_back(mix.base);
      continue;
    }
    // Value projections count among themselves. FFNs count by their layer where there are experts, else among themselves.
    Place at = {0, model.layers};
    if (part == Part::value) at = {value++, values};
    if (part == Part::down) at.i = model.experts > 1 ? block_number(t.name).value_or(0) : down++;
    out.push_back(type_of(mix, model, t, part, at));
  }
  return out;
}

bool takes_mixed_type(std::string_view tensor) {
  if (!tensor.ends_with("weight")) return false;
  for (std::string_view exact : {"_norm.weight", "ffn_gate_inp", "attn_gate_inp", "ffn_const", "ssm_conv1d", "shortconv.conv.weight", "delta_conv"})
    if (tensor.find(exact) != tensor.npos) return false;
  return true;
}

TensorType type_for_rows(TensorType type, uint64_t length) {
  if (length % type_info(type).block == 0) return type;
  struct Fallback {
    TensorType from, to;
  };
  constexpr std::array fallbacks = {Fallback{iq4_xs, iq4_nl}, Fallback{q2_k, q4_0}, Fallback{q3_k, q4_0},
                                    Fallback{q4_k, q5_0},     Fallback{q5_k, q5_1}, Fallback{q6_k, q8_0}};
  const auto* row = std::ranges::find(fallbacks, type, &Fallback::from);
  return row != fallbacks.end() && length % type_info(row->to).block == 0 ? row->to : f16;
}

}  // namespace moiety
