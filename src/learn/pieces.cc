#include "learn/pieces.h"

namespace moiety {

uint32_t layer_of(const Parameter& p) { return static_cast<uint32_t>(std::stoul(p.name.substr(4))); }

std::string block_of(const Parameter& p) { return p.name.starts_with("blk.") ? p.name.substr(0, p.name.find('.', 4) + 1) : ""; }

bool is_stack(const Parameter& p) { return p.name.find("_exps.") != std::string::npos; }

std::vector<ParameterPiece> pieces_of(const Parameter& p) {
  const std::string name = p.name.substr(block_of(p).size());
  const auto axis = [&](size_t i) { return static_cast<size_t>(p.shape[i]); };
  if (p.shape.size() == 1) return {{name, 0, 0, 1, axis(0), 1, false, name == "delta_decay_rate"}};
  if (p.shape.size() == 2 && !is_stack(p) && !name.ends_with(".bias")) return {{name, 0, 0, 1, axis(0), axis(1)}};
  const bool vectors = p.shape.size() == 2;
  const size_t count = axis(0), rows = axis(1), cols = vectors ? 1 : axis(2);
  // Here both halves of latent attention go out of the latent space; in checkpoints the keys' takes queries into it.
  if (name == "attn_k_b.weight") return {{name, 0, rows * cols, count, cols, rows, true}};
  constexpr std::string_view both = "ffn_gate_up";
  if (!name.starts_with(both)) return {{name, 0, rows * cols, count, rows, cols}};
  const std::string rest = name.substr(both.size());  // "_exps.weight", "_shexp.1.weight", ".weight"
  return {{"ffn_gate" + rest, 0, rows * cols, count, rows / 2, cols}, {"ffn_up" + rest, rows / 2 * cols, rows * cols, count, rows / 2, cols}};
}

}  // namespace moiety
