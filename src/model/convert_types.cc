// Which type each tensor of a new file gets: what the rules file says, else --expert-type, else --type, else as it was.
#include <algorithm>

#include "base/error.h"
#include "formats/codec.h"
#include "model/convert_plan.h"
#include "model/family.h"

namespace moiety {
namespace {

bool in_blocks(TensorType type) { return type_info(type).block > 1; }

// Routers, norms, biases and short convolutions: their numbers stay exact.
bool stays_exact(const Target& target) { return target.first().vector || !takes_mixed_type(target.first().name); }

bool of_experts(const Target& target) { return target.first().name.find("_exps.") != std::string::npos; }

MixedModel mixed_model(const Config& c, const ConvertOptions& o) {
  MixedModel m;
  for (const BlockConfig& b : c.blocks) {
    m.layers = std::max(m.layers, b.layer + 1);
    if (b.experts) m.experts = std::max(m.experts, b.experts->groups[0].count);
  }
  // llama.cpp looks at the first layer; one without keys counts as ungrouped.
  const Mixer first = c.blocks[0].mixer;
  const bool keys = first == Mixer::attention || first == Mixer::expert_attention;
  m.query_groups = keys ? c.heads / std::max(1u, c.kv_heads) : first == Mixer::latent_attention ? c.heads : 0;
  const std::string_view family = c.family->name;
  const bool big = family == "llama" || family == "mistral" || family == "mixtral" || family == "qwen2";
  m.seventy_billion = big && m.layers == 80 && (family == "qwen2" || c.heads != c.kv_heads);
  m.tied_output = c.tied_output;
  m.importance = o.importance != nullptr;
  return m;
}

class Chooser {
 public:
  Chooser(const Config& c, const ConvertOptions& o, const ConvertSource& source, std::vector<Target>& targets)
      : c_(c), o_(o), source_(source) {
    std::vector<MixedTensor> matrices;
    for (const Target& t : targets) matrices.push_back({t.name, t.row_length(), t.first().stack});
    const MixedModel model = mixed_model(c, o);
    if (o.type) by_type_ = mixed_types(*o.type, model, matrices);
    if (o.expert_type) by_expert_type_ = mixed_types(*o.expert_type, model, matrices);
  }

  TensorType choose(const Target& target, size_t at) {
    const TensorType stored = source_.type(target.first(), target.begin());
    if (stays_exact(target)) {
      // Hugging Face keeps one type for a whole model where nothing else is asked. Numbers that are changed keep theirs.
      const bool as_stored = o_.to_hf && !in_blocks(stored) && !source_.edits(target.first(), target.begin()) &&
                             (!o_.type || o_.type->base == stored || !target.first().vector);
      return as_stored ? stored : TensorType::f32;
    }
    const TensorType asked = asked_type(target, at, stored);
    if (o_.to_hf && in_blocks(asked)) {
      if (asked != stored || o_.type) throw UsageError("safetensors have no tensors of type {}; f32, f16 and bf16 go there", type_info(asked).name);
      return TensorType::bf16;
    }
    if (target.pieces[0].name.transposed && in_blocks(asked)) return TensorType::bf16;
    const TensorType type = type_for_rows(asked, target.row_length());
    if (type != asked) note_fallback(target, asked, type);
    if (type != stored && !can_encode(type)) throw UsageError("tensors of type {} cannot be written", type_info(type).name);
    return type;
  }

  // A line for each pair of types, with the first tensor of which it is so.
  std::vector<std::string> fallbacks() const {
    std::vector<std::string> lines;
    for (const Fallback& f : fallbacks_)
      lines.push_back(fmt::format("{}: rows of {} do not divide into {} blocks, so it is {}{}", f.first->name, f.first->row_length(), type_info(f.asked).name,
                                  type_info(f.used).name, f.tensors > 1 ? fmt::format(", and so for {} more", f.tensors - 1) : ""));
    return lines;
  }

 private:
  struct Fallback {
    TensorType asked, used;
    const Target* first;
    size_t tensors = 0;
  };
  void note_fallback(const Target& target, TensorType asked, TensorType used) {
    auto same = std::ranges::find_if(fallbacks_, [&](const Fallback& f) { return f.asked == asked && f.used == used; });
    if (same == fallbacks_.end()) same = fallbacks_.insert(same, {asked, used, &target});
    same->tensors++;
  }

  TensorType asked_type(const Target& target, size_t at, TensorType stored) const {
    TensorType type = stored;
    // A type that has no encoder survives copying only.
    if (!can_encode(stored) && source_.edits(target.first(), target.begin())) type = TensorType::f16;
    if (o_.type) type = by_type_[at];
    if (o_.expert_type && of_experts(target)) type = by_expert_type_[at];
    return o_.rules ? ruled(target, type) : type;
  }

  // The id of a stack's first expert: the stack of a site's second group is called "ffn_up_exps.1.weight".
  uint32_t first_id(const CanonicalTensor& t) const {
    const size_t at = t.name.find("_exps.") + 6;
    const BlockConfig& b = c_.blocks[static_cast<size_t>(t.block)];
    if (!b.experts) return 0;
    uint32_t id = 0;
    const uint64_t group = std::strtoull(t.name.c_str() + at, nullptr, 10);  // "weight": 0
    for (size_t g = 0; g < std::min<uint64_t>(group, b.experts->groups.size()); g++) id += b.experts->groups[g].count;
    return id;
  }

  // A GGUF tensor holds one type, so all experts in it must be given the same.
  TensorType ruled(const Target& target, TensorType otherwise) const {
    const CanonicalTensor& t = target.first();
    RuledMatrix matrix{target.name, {}, {}};
    if (t.block >= 0) matrix.layer = c_.blocks[static_cast<size_t>(t.block)].layer;
    std::optional<TensorType> type;
    size_t line = 0;
    for (size_t i = target.begin(); i < target.end(t); i++) {
      if (of_experts(target)) matrix.expert = first_id(t) + static_cast<uint32_t>(i);
      const auto answer = o_.rules->find(matrix);
      const TensorType next = answer ? answer->type : otherwise;
      if (answer) line = answer->line;
      if (type && *type != next)
        throw Error("{}:{}: tensor {} would hold experts of {} and of {}; all experts of a layer share a tensor of one type, so name them all ({}:*)",
                    o_.rules->origin(), line, target.name, type_info(*type).name, type_info(next).name, *matrix.layer);
      type = next;
    }
    return *type;
  }

  const Config& c_;
  const ConvertOptions& o_;
  const ConvertSource& source_;
  std::vector<TensorType> by_type_, by_expert_type_;
  std::vector<Fallback> fallbacks_;
};

}  // namespace

void choose_types(const Config& config, const ConvertOptions& o, const ConvertSource& source, std::vector<Target>& targets,
                  std::vector<std::string>& notes) {
  Chooser chooser(config, o, source, targets);
  for (size_t i = 0; i < targets.size(); i++) targets[i].type = chooser.choose(targets[i], i);
  std::ranges::move(chooser.fallbacks(), std::back_inserter(notes));
  if (o.rules) o.rules->check_all_used();
}

}  // namespace moiety
