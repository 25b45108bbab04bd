#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "formats/codec.h"
#include "kernels/matmul.h"

namespace moiety {
namespace {

// The numbers of a cached row from `begin`, as float32: in place, or decoded into `room`.
const float* part_of_row(const CachedRows& rows, size_t position, size_t begin, size_t count, float* room) {
  const std::byte* row = rows.row(position);
  if (rows.type == TensorType::f32) return reinterpret_cast<const float*>(row) + begin;
  const TypeInfo& info = type_info(rows.type);
  if (info.block == 1) {
    decode(rows.type, row + begin * info.block_bytes, {room, count});
    return room;
  }
  // Whole blocks around the part.
  const size_t first = begin / info.block, last = (begin + count + info.block - 1) / info.block;
  decode(rows.type, row + first * info.block_bytes, {room, (last - first) * info.block});
  return room + begin % info.block;
}

}  // namespace

size_t attention_scratch(const AttentionShape& shape, size_t positions) {
  return positions * (shape.heads / shape.kv_heads) + std::max(shape.key_size, shape.value_size) + 64;
}

void attend(const AttentionShape& shape, std::span<const float> query, const CachedRows& keys, const CachedRows& values, size_t first,
            size_t last, std::span<float> scratch, std::span<float> out) {
  const size_t group = shape.heads / shape.kv_heads, positions = last - first;
  float* scores = scratch.data();              // [group, positions]
  float* room = scores + group * positions;    // one decoded part of a row
  for (size_t kv = 0; kv < shape.kv_heads; kv++) {
    // The query heads of a key head share its rows: each is read once.
    for (size_t p = 0; p < positions; p++) {
      const float* key = part_of_row(keys, first + p, kv * shape.key_size, shape.key_size, room);
      for (size_t g = 0; g < group; g++) {
        float score = dot(query.data() + (kv * group + g) * shape.key_size, key, shape.key_size) * shape.scale;
        if (shape.softcap > 0) score = shape.softcap * std::tanh(score / shape.softcap);
        scores[g * positions + p] = score;
      }
    }
    for (size_t g = 0; g < group; g++) {
      const size_t head = kv * group + g;
      float* row = scores + g * positions;
      float top = shape.sinks.empty() ? -std::numeric_limits<float>::infinity() : shape.sinks[head];
      for (size_t p = 0; p < positions; p++) top = std::max(top, row[p]);
      float sum = shape.sinks.empty() ? 0.0f : std::exp(shape.sinks[head] - top);
      for (size_t p = 0; p < positions; p++) sum += row[p] = std::exp(row[p] - top);
      for (size_t p = 0; p < positions; p++) row[p] /= sum;
    }
    std::fill_n(out.data() + kv * group * shape.value_size, group * shape.value_size, 0.0f);
    for (size_t p = 0; p < positions; p++) {
      const float* value = part_of_row(values, first + p, kv * shape.value_size, shape.value_size, room);
      for (size_t g = 0; g < group; g++) {
        float* sum = out.data() + (kv * group + g) * shape.value_size;
        const float weight = scores[g * positions + p];
        for (size_t i = 0; i < shape.value_size; i++) sum[i] += weight * value[i];
      }
    }
  }
}

void store_row(std::span<const float> row, TensorType type, std::byte* out) {
  if (row.size() % type_info(type).block != 0)
    throw Error("a {} cache needs rows of a multiple of {} numbers, not {}; use --kv f16", type_info(type).name, type_info(type).block, row.size());
  encode_row(type, row, {}, out);
}

void load_row(TensorType type, const std::byte* bytes, std::span<float> out) { decode(type, bytes, out); }

}  // namespace moiety
