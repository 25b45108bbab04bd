#include "model/stored.h"

#include <algorithm>
#include <cstdint>

namespace moiety {
namespace {

struct Slicing {
  size_t first = 0, group_stride = 0, per_group = SIZE_MAX, step = 1;  // rows of the stored matrix
};

// Which stored rows are the canonical ones: from `first`, every `step`-th, in groups of per_group that are group_stride apart.
Slicing slicing(Slice slice, const Config& c, size_t stored_rows) {
  const size_t q = size_t{c.heads} * c.key_size, k = size_t{c.kv_heads} * c.key_size;
  const size_t dk = c.delta_key_size, share = c.delta_key_heads ? c.delta_value_heads / c.delta_key_heads : 0, dv = share * c.delta_value_size;
  switch (slice) {
    case Slice::all: return {};
    case Slice::first_half: return {};
    case Slice::second_half: return {.first = stored_rows / 2};
    case Slice::even: return {.step = 2};
    case Slice::odd: return {.first = 1, .step = 2};
    case Slice::query: return {};
    case Slice::key: return {.first = q};
    case Slice::value: return {.first = q + k};
    case Slice::key_nope: return {};
    case Slice::head_value: return {.first = c.key_size - c.rope_key_size};
    case Slice::delta_query: return {.group_stride = 2 * dk + 2 * dv, .per_group = dk};
    case Slice::delta_key: return {.first = dk, .group_stride = 2 * dk + 2 * dv, .per_group = dk};
    case Slice::delta_value: return {.first = 2 * dk, .group_stride = 2 * dk + 2 * dv, .per_group = dv};
    case Slice::delta_gate: return {.first = 2 * dk + dv, .group_stride = 2 * dk + 2 * dv, .per_group = dv};
    case Slice::delta_beta: return {.group_stride = 2 * share, .per_group = share};
    case Slice::delta_decay: return {.first = share, .group_stride = 2 * share, .per_group = share};
    case Slice::first_keys: return {};
    case Slice::second_keys: return {.first = size_t{c.delta_key_heads} * dk};
    case Slice::after_keys: return {.first = 2 * size_t{c.delta_key_heads} * dk};
  }
  return {};
}

// Rows that the whole stored matrix must have for `rows` canonical ones.
size_t stored_rows_for(Slice slice, const Config& c, size_t rows) {
  const size_t q = size_t{c.heads} * c.key_size, k = size_t{c.kv_heads} * c.key_size, v = size_t{c.kv_heads} * c.value_size;
  const size_t share = c.delta_key_heads ? c.delta_value_heads / c.delta_key_heads : 0;
  switch (slice) {
    case Slice::all: return rows;
    case Slice::first_half:
    case Slice::second_half:
    case Slice::even:
    case Slice::odd: return 2 * rows;
    case Slice::query:
    case Slice::key:
    case Slice::value: return q + k + v;
    case Slice::key_nope:
    case Slice::head_value: return c.key_size - c.rope_key_size + c.value_size;
    case Slice::delta_query:
    case Slice::delta_key:
    case Slice::delta_value:
    case Slice::delta_gate: return size_t{c.delta_key_heads} * (2 * c.delta_key_size + 2 * share * c.delta_value_size);
    case Slice::delta_beta:
    case Slice::delta_decay: return size_t{c.delta_key_heads} * 2 * share;
    case Slice::first_keys:
    case Slice::second_keys:
    case Slice::after_keys: return size_t{c.delta_key_heads} * 2 * c.delta_key_size + size_t{c.delta_value_heads} * c.delta_value_size;
  }
  return rows;
}

}  // namespace

StoredShape stored_shape(const TensorName& name, const Config& c, size_t rows, size_t cols) {
  // Latent attention's kv_b is cut along its lines; the others along theirs or, transposed, across.
  const bool key_nope = name.slice == Slice::key_nope;
  const size_t across = key_nope ? rows : stored_rows_for(name.slice, c, rows);
  const size_t along = key_nope ? stored_rows_for(name.slice, c, rows) : cols;
  return name.transposed ? StoredShape{along, across} : StoredShape{across, along};
}

StoredMatrix stored_view(const TensorName& name, const Config& c, TensorType type, const std::byte* data, size_t place, size_t rows,
                         size_t cols) {
  const StoredShape shape = stored_shape(name, c, rows, cols);
  const TypeInfo& info = type_info(type);
  const Slicing cut = slicing(name.slice, c, name.transposed ? shape.line_length : shape.lines);
  const size_t line = bytes_of(type, shape.line_length);
  const size_t to_next_row = name.transposed ? info.block_bytes : line;
  StoredMatrix m;
  m.type = type;
  m.rows = rows, m.cols = cols;
  m.data = data + place * shape.lines * line + cut.first * to_next_row;
  m.row_bytes = cut.step * to_next_row;
  m.column_bytes = name.transposed ? line : info.block_bytes;
  m.contiguous_rows = !name.transposed || cols == 1;
  m.rows_per_group = std::min(cut.per_group, std::max<size_t>(rows, 1));
  m.group_bytes = cut.group_stride * to_next_row;
  return m;
}

}  // namespace moiety
