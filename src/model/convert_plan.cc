#include "model/convert_plan.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "model/family.h"

namespace moiety {
namespace {

std::string filled(std::string pattern, const BlockConfig* b, int block, size_t expert) {
  auto replace = [&](const char* key, uint64_t value) {
    for (size_t at; (at = pattern.find(key)) != std::string::npos;) pattern.replace(at, 3, std::to_string(value));
  };
  replace("{l}", b ? b->layer : 0);
  replace("{p}", b ? b->part : 0);
  replace("{b}", static_cast<uint64_t>(std::max(block, 0)));
  replace("{e}", expert);
  return pattern;
}

std::vector<uint64_t> shape_of(const Config& c, const Target& target) {
  const CanonicalTensor& t = target.first();
  const TensorName& name = target.pieces[0].name;
  const StoredShape one = stored_shape(name, c, t.rows, t.cols);
  const uint64_t stack = target.one_each ? 1 : t.count;
  switch (name.extents) {
    case Extents::joined_stack: return {stack * one.lines, one.line_length};
    case Extents::column: return {one.lines, 1};
    case Extents::row: return {1, one.lines};
    case Extents::flat: return {stack * one.lines * one.line_length};
    case Extents::taps: return {one.lines / c.conv_length, c.conv_length};
    case Extents::channel_taps: return {one.lines / c.conv_length, 1, c.conv_length};
    case Extents::plain: break;
  }
  const bool stacked = t.stack && !target.one_each;
  std::vector<uint64_t> shape = {one.lines, one.line_length};
  if (t.vector) shape.pop_back();
  if (stacked) shape.insert(shape.begin(), stack);
  else if (!t.vector) shape[0] *= stack;
  return shape;
}

}  // namespace

uint64_t Target::bytes() const {
  uint64_t count = 1;
  for (uint64_t extent : shape) count *= extent;
  return bytes_of(type, count);
}

TensorType ConvertSource::type(const CanonicalTensor& t, size_t i) const {
  const ConvertOptions::Origin from = origin(t, i);
  if (from.name.empty()) return TensorType::f32;
  const auto type = in_.type_of(from.name, t.block, from.i, from.count, t.rows, t.cols);
  if (!type) throw Error("{}: tensor {} is missing", path_, canonical_name(from.name, t.block));
  return *type;
}

std::vector<Target> plan_targets(const Config& c, bool to_hf, const std::string& origin) {
  std::map<std::string, TensorName> names;
  for (const TensorName& name : to_hf ? hf_names(c) : gguf_names(c))
    if (!name.read_only) names.emplace(name.canonical, name);  // the first row of a name is what a new file gets
  std::vector<Target> targets;
  std::map<std::string, size_t> by_name;
  for (const CanonicalTensor& t : canonical_tensors(c)) {
    const auto row = names.find(t.name);
    if (row == names.end()) throw Error("{}: the target format has no place for tensor {}", origin, canonical_name(t.name, t.block));
    const bool one_each = row->second.stored.find("{e}") != std::string::npos;
    for (size_t e = 0; e < (one_each ? t.count : 1); e++) {
      const BlockConfig* block = t.block < 0 ? nullptr : &c.blocks[static_cast<size_t>(t.block)];
      const std::string name = filled(row->second.stored, block, t.block, e);
      const auto [at, is_new] = by_name.emplace(name, targets.size());
      if (is_new) targets.push_back({.name = name, .shape = {}, .pieces = {}, .element = e, .one_each = one_each});
      targets[at->second].pieces.push_back({t, row->second});
    }
  }
  if (!to_hf && c.tied_output && c.family->gguf_head) {
    const auto embedding = std::ranges::find(targets, names.at("token_embd.weight").stored, &Target::name);
    targets.push_back({.name = names.at("output.weight").stored, .shape = {}, .pieces = embedding->pieces});
  }
  for (Target& target : targets) target.shape = shape_of(c, target);
  return targets;
}

}  // namespace moiety
