#include "engine/memory.h"

#include <algorithm>

namespace moiety {
namespace {

constexpr uint64_t program_bytes = uint64_t{16} << 20;
constexpr uint64_t bytes_per_vocabulary_entry = 320;  // the text of a token, its place in the index, its merge

// What a block keeps of `positions` tokens.
uint64_t state_bytes(const Config& c, const BlockConfig& block, TensorType type, uint64_t positions) {
  switch (block.mixer) {
    case Mixer::attention:
    case Mixer::expert_attention: {
      const AttentionConfig a = c.attention_of(block);
      return positions * (bytes_of(type, size_t{a.kv_heads} * a.key_size) + bytes_of(type, size_t{a.kv_heads} * a.value_size));
    }
    case Mixer::latent_attention: return positions * bytes_of(type, size_t{c.kv_rank} + c.rope_key_size);
    case Mixer::short_convolution: return size_t{c.conv_length} * c.d_model * sizeof(float);
    case Mixer::gated_delta:
    case Mixer::kimi_delta: {
      const uint64_t keys = size_t{c.delta_key_heads} * c.delta_key_size, values = size_t{c.delta_value_heads} * c.delta_value_size;
      return sizeof(float) * (c.conv_length * (2 * keys + values) + values * c.delta_key_size);
    }
  }
  return 0;
}

// Numbers of a token's row that are held at once in a block: what attention makes, or what the FFN or the chosen experts make.
uint64_t row_numbers(const Config& c, const BlockConfig& block) {
  const AttentionConfig a = c.attention_of(block);
  const uint64_t d = c.d_model, heads = std::max({a.heads, a.kv_heads, c.delta_value_heads});
  const uint64_t mixer = heads * (uint64_t{a.key_size} + 2 * a.value_size + 2 * uint64_t{c.delta_value_size}) + 2 * uint64_t{a.kv_heads} * (a.key_size + a.value_size);
  uint64_t ffn = 2 * uint64_t{block.ffn_width};
  if (block.experts) {
    const uint64_t k = std::max(1u, block.experts->router.top_k);
    ffn = k * (2 * d + 2 * uint64_t{block.experts->widest()}) + block.experts->ids();
    for (const SharedConfig& shared : block.experts->shared) ffn += 2 * uint64_t{shared.width};
  }
  return 6 * d + std::max(mixer, ffn);
}

}  // namespace

MemoryNeed memory_need(const Config& c, uint64_t weight_bytes, const SessionOptions& options) {
  const uint64_t positions = options.context ? options.context : std::min(c.context, 4096u);
  const uint64_t rows = std::min<uint64_t>(options.chunk, positions);
  MemoryNeed out;
  out.weight_bytes = weight_bytes;
  uint64_t numbers = 0;
  for (const BlockConfig& block : c.blocks) {
    // A cache grows in steps of a quarter.
    out.cache_bytes += state_bytes(c, block, options.cache_type, positions) * 5 / 4;
    numbers = std::max(numbers, row_numbers(c, block));
  }
  // Logits of the rows that are computed at once, and of one while it is sampled.
  const uint64_t logits = std::min<uint64_t>(rows, logit_rows) + 3;
  out.work_bytes = program_bytes + rows * numbers * sizeof(float) + c.vocab * (bytes_per_vocabulary_entry + logits * sizeof(float));
  return out;
}

}  // namespace moiety
