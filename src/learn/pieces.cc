#include "learn/pieces.h"

namespace moiety {

uint32_t layer_of(const Parameter& p) { return static_cast<uint32_t>(std::stoul(p.name.substr(4))); }

std::string block_of(const Parameter& p) { return p.name.starts_with("blk.") ? p.name.substr(0, p.name.find('.', 4) + 1) : ""; }

bool is_stack(const Parameter& p) { return p.name.find("_exps.") != std::string::npos; }

std::vector<ParameterPiece> pieces_of(const Parameter& p) {
  const std::string name = p.name.substr(block_of(p).size());
  if (p.shape.size() < 3) return {{name, 0, 0, 0, {p.shape.begin(), p.shape.end()}}};
  const bool stack = is_stack(p);
  const uint64_t experts = static_cast<uint64_t>(p.shape[0]), rows = static_cast<uint64_t>(p.shape[1]), cols = static_cast<uint64_t>(p.shape[2]);
  const auto piece = [&](std::string canonical, size_t first, uint64_t count) { return ParameterPiece{std::move(canonical), first, rows * cols, stack ? experts : 0, {count, cols}}; };
  constexpr std::string_view both = "ffn_gate_up";
  if (!name.starts_with(both)) return {piece(name, 0, rows)};
  const std::string rest = name.substr(both.size());  // "_exps.weight", "_shexp.1.weight", ".weight"
  return {piece("ffn_gate" + rest, 0, rows / 2), piece("ffn_up" + rest, rows / 2 * cols, rows / 2)};
}

}  // namespace moiety
