#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_block-inl.h"
#include "kernels/read_ahead.h"

#ifndef MOIETY_ATTENTION_TILE
#define MOIETY_ATTENTION_TILE
namespace moiety {
namespace {

constexpr size_t queries_together = 32;    // of a tile
constexpr size_t bytes_ahead = 49152;      // some KiB more than what is worked on at once
constexpr size_t span_positions = 256;     // a multiple of a block's

struct alignas(64) CacheLine {
  static constexpr size_t size = 16;
  float numbers[size];
};

// Some rows of one sequence, some key heads, and some heads of each one's group: a query each, by key head, row and head. A row's key heads lie
// beside each other in the cache, so that taking several of them at a position reads memory in order.
struct AttentionTile {
  const AttentionRow* rows;
  size_t row_count, first_kv, kv_count, first_in_group, head_count, group;
  size_t first, last;  // positions that any row of it has; of a single row maybe some of its spans
  float* spans;        // where these put their sums, by the row's span and head (span_floats); null: the tile joins them itself
  size_t queries_of_kv() const { return row_count * head_count; }
  size_t queries() const { return kv_count * queries_of_kv(); }
  const AttentionRow& row(size_t q) const { return rows[q / head_count % row_count]; }
  size_t head(size_t q) const { return (first_kv + q / queries_of_kv()) * group + first_in_group + q % head_count; }
};

// A row's sums before its first span.
Running start_of(const AttentionShape& shape, size_t head) { return shape.sinks.empty() ? Running() : Running{shape.sinks[head], 1, 1}; }

// Sums of one head over one span: its top, its sum, then its output times that sum, whole vectors.
constexpr size_t span_floats(const AttentionShape& shape) { return 2 + (shape.value_size + 63) / 64 * 64; }

}  // namespace
}  // namespace moiety
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t together = 4;  // queries whose sums fit into the registers

// Calls f(number, q), the number a constant, for queries [q, q + number) of [0, count): as few as possible, about as many in each.
template <class Function>
HWY_ATTR HWY_INLINE void each_few(size_t count, Function&& f) {
  for (size_t q = 0, number; q < count; q += number) {
    const size_t calls = (count - q + together - 1) / together;
    number = (count - q + calls - 1) / calls;
    if (number == 1) f(std::integral_constant<int, 1>(), q);
    else if (number == 2) f(std::integral_constant<int, 2>(), q);
    else if (number == 3) f(std::integral_constant<int, 3>(), q);
    else f(std::integral_constant<int, 4>(), q);
  }
}

// What a tile's queries have so far.
struct TileState {
  size_t key_width, value_width;  // whole vectors
  float *query, *out, *scores;    // [queries, key_width], [queries, value_width], [queries, positions_together]
  Running* running;
};

size_t block_of(size_t position) { return position / positions_together * positions_together; }

// A block of positions: those of [begin, end) count, and a position's place is counted from `first`.
struct Block {
  size_t first, begin, end;
};

// The steps of a block for the queries of one key head; rows stand by their place, and the first two take the places [from, to).
template <class Keys>
HWY_ATTR void score_head(const AttentionTile& tile, const TileState& s, size_t kv, const Keys& keys, size_t from, size_t to) {
  const size_t count = tile.queries_of_kv();
  const float* query = s.query + kv * count * s.key_width;
  float* scores = s.scores + kv * count * positions_together;
  each_few(count, [&](auto few, size_t q) HWY_ATTR { score<few>(query + q * s.key_width, keys, s.key_width, from, to, scores + q * positions_together); });
}
template <class Values>
HWY_ATTR void add_head(const AttentionTile& tile, const TileState& s, size_t kv, const Values& values, size_t from, size_t to, bool first) {
  const size_t count = tile.queries_of_kv();
  const float* scores = s.scores + kv * count * positions_together;
  float* out = s.out + kv * count * s.value_width;
  const Running* running = s.running + kv * count;
  each_few(count, [&](auto few, size_t q) HWY_ATTR {
    add_values<few, few == 1 ? 8 : beside<few>>(scores + q * positions_together, values, s.value_width, from, to, first, running + q, out + q * s.value_width);
  });
}
HWY_ATTR void weigh_head(const AttentionShape& shape, const AttentionTile& tile, const TileState& s, size_t kv, const Block& b) {
  for (size_t q = kv * tile.queries_of_kv(); q < (kv + 1) * tile.queries_of_kv(); q++) {
    const AttentionRow& row = tile.row(q);
    weigh(shape, std::clamp(row.first, b.first, b.end) - b.first, std::clamp(row.last, b.first, b.end) - b.first, s.scores + q * positions_together, s.running[q]);
  }
}

// Some rows of all heads, then the next rows, so that memory is read in order. Sums of many queries are too much to be fetched again for a few rows.
template <TensorType type>
HWY_ATTR void take_in_place(const AttentionShape& shape, const AttentionTile& tile, const TileState& s, const Block& b, ReadAhead& ahead) {
  const size_t keys_at_once = 4, values_at_once = tile.queries_of_kv() == 1 ? 8 : positions_together;
  const size_t key_bytes = bytes_of(type, shape.key_size), value_bytes = bytes_of(type, shape.value_size);  // of a head
  const auto part = [&](const CachedRows& rows, size_t kv, size_t bytes) { return CacheRows<type>{rows.row(b.first) + (tile.first_kv + kv) * bytes, rows.row_bytes}; };
  const size_t low = b.begin - b.first, high = b.end - b.first;
  for (size_t from = low, to; from < high; from = to) {
    to = std::min(from / keys_at_once * keys_at_once + keys_at_once, high);
    for (size_t kv = 0; kv < tile.kv_count; kv++) {
      ahead.ask((to - from) * key_bytes);
      score_head(tile, s, kv, part(tile.rows[0].keys, kv, key_bytes), from, to);
    }
  }
  for (size_t kv = 0; kv < tile.kv_count; kv++) weigh_head(shape, tile, s, kv, b);
  for (size_t from = low, to; from < high; from = to) {
    to = std::min(from + values_at_once, high);
    for (size_t kv = 0; kv < tile.kv_count; kv++) {
      ahead.ask((to - from) * value_bytes);
      add_head(tile, s, kv, part(tile.rows[0].values, kv, value_bytes), from, to, from == low);
    }
  }
}

// Few queries read a cache as it lies; for many its numbers become float32 first (null). The bits are the same.
using TakeInPlace = void (*)(const AttentionShape&, const AttentionTile&, const TileState&, const Block&, ReadAhead&);
TakeInPlace in_place(const AttentionShape& shape, const AttentionTile& tile) {
  const size_t count = tile.queries_of_kv();
  if (count > 2 * together) return nullptr;
  if (shape.key_size % lanes != 0 || shape.value_size % lanes != 0) return nullptr;
  constexpr bool has_halves = HWY_TARGET <= HWY_AVX2;  // see cached_rows.cc
  switch (tile.rows[0].keys.type) {
    case TensorType::f32: return take_in_place<TensorType::f32>;
    case TensorType::f16: return has_halves ? take_in_place<TensorType::f16> : nullptr;
    case TensorType::bf16: return take_in_place<TensorType::bf16>;
    case TensorType::q8_0: return has_halves && count == 1 && shape.key_size % 32 == 0 && shape.value_size % 32 == 0 ? take_in_place<TensorType::q8_0> : nullptr;
    default: return nullptr;
  }
}

HWY_ATTR void take_as_floats(const AttentionShape& shape, const AttentionTile& tile, const TileState& s, const Block& b, ReadAhead& ahead, float* room) {
  const size_t low = b.begin - b.first, high = b.end - b.first;
  const auto load = [&](const CachedRows& rows, size_t kv, size_t size, size_t width) {
    load_rows(rows, b.begin, b.end, (tile.first_kv + kv) * size, size, ahead, room + low * width, width);
    return FloatRows{room, width};
  };
  for (size_t kv = 0; kv < tile.kv_count; kv++) {
    score_head(tile, s, kv, load(tile.rows[0].keys, kv, shape.key_size, s.key_width), low, high);
    weigh_head(shape, tile, s, kv, b);
    add_head(tile, s, kv, load(tile.rows[0].values, kv, shape.value_size, s.value_width), low, high, true);
  }
}

// From position `begin` on what the tile reads.
ReadAhead read_ahead(const AttentionShape& shape, const AttentionTile& tile, size_t begin, size_t end) {
  const auto part = [&](const CachedRows& rows, size_t size) {
    return ReadAhead::Part{&rows, bytes_of(rows.type, tile.first_kv * size), bytes_of(rows.type, tile.kv_count * size)};
  };
  return {part(tile.rows[0].keys, shape.key_size), part(tile.rows[0].values, shape.value_size), begin, end, positions_together};
}

// Takes a span's sums, `more` with [width] numbers, into those of the spans before it.
HWY_ATTR void join(const Running& more, const float* more_out, Running& all, float* out, size_t width) {
  const D d;
  if (all.sum == 0) {  // nothing yet
    all = {more.top, more.sum, 1};
    std::copy_n(more_out, width, out);
    return;
  }
  const float top = std::max(all.top, more.top);
  const auto factor = [&](float of) HWY_ATTR { return of == top ? 1 : hn::GetLane(hn::Exp(d, hn::Max(hn::Set(d, of - top), hn::Set(d, -100.0f)))); };
  const float a = factor(all.top), b = factor(more.top);
  all = {top, all.sum * a + more.sum * b, 1};
  for (size_t i = 0; i < width; i += lanes) hn::StoreU(hn::MulAdd(hn::LoadU(d, out + i), hn::Set(d, a), hn::Mul(hn::LoadU(d, more_out + i), hn::Set(d, b))), d, out + i);
}

HWY_ATTR void write_out(const AttentionShape& shape, const Running& all, const float* joined, float* out) {
  for (size_t i = 0; i < shape.value_size; i++) out[i] = joined[i] / all.sum;
}

HWY_ATTR void attend_tile(const AttentionShape& shape, const AttentionTile& tile) {
  const size_t queries = tile.queries(), key_width = whole_vectors(shape.key_size), value_width = whole_vectors(shape.value_size);
  static thread_local std::vector<CacheLine> room;  // vectors that begin in the midst of a line take twice the time to load
  room.resize((queries * (key_width + 2 * value_width + positions_together) + positions_together * std::max(key_width, value_width)) / CacheLine::size + 1);
  float* query = room[0].numbers;                     // [queries, key_width], row by row
  float* out = query + queries * key_width;           // [queries, value_width], of a span
  float* scores = out + queries * value_width;        // [queries, positions_together]
  float* joined = scores + queries * positions_together;  // [queries, value_width], of the spans so far
  float* rows = joined + queries * value_width;       // [positions_together, key_width or value_width]: keys, then values of one head
  Running running[queries_together], all[queries_together];
  const TileState state{key_width, value_width, query, out, scores, running};
  for (size_t q = 0; q < queries; q++) {
    std::copy_n(tile.row(q).query + tile.head(q) * shape.key_size, shape.key_size, query + q * key_width);
    std::fill_n(query + q * key_width + shape.key_size, key_width - shape.key_size, 0.0f);
    all[q] = start_of(shape, tile.head(q));
  }
  if (!shape.sinks.empty()) std::fill_n(joined, queries * value_width, 0.0f);

  // Rows that are read where they lie are asked for some KiB ahead, others a block.
  const TakeInPlace take_in_place = in_place(shape, tile);
  ReadAhead ahead = read_ahead(shape, tile, take_in_place ? tile.first : std::min(block_of(tile.first) + positions_together, tile.last), tile.last);
  if (take_in_place) ahead.ask(bytes_ahead);
  for (Block b{block_of(tile.first), tile.first, 0}; b.first < tile.last; b.begin = b.first += positions_together) {
    b.end = std::min(b.first + positions_together, tile.last);
    if (b.begin == tile.first || b.begin % span_positions == 0) {
      std::fill_n(running, queries, Running());
      std::fill_n(out, queries * value_width, 0.0f);
    }
    if (take_in_place) take_in_place(shape, tile, state, b, ahead);
    else take_as_floats(shape, tile, state, b, ahead, rows);
    if (b.end != tile.last && b.end % span_positions != 0) continue;
    for (size_t q = 0; q < queries; q++) {
      if (tile.spans) {
        const size_t span = b.first / span_positions - tile.rows[0].first / span_positions;
        float* to = tile.spans + (span * shape.heads + tile.head(q)) * span_floats(shape);
        to[0] = running[q].top, to[1] = running[q].sum;
        std::copy_n(out + q * value_width, value_width, to + 2);
      } else {
        join(running[q], out + q * value_width, all[q], joined + q * value_width, value_width);
      }
    }
  }

  if (tile.spans) return;
  for (size_t q = 0; q < queries; q++) write_out(shape, all[q], joined + q * value_width, tile.row(q).out + tile.head(q) * shape.value_size);
}

// One head of a row whose spans have been summed apart.
HWY_ATTR void join_spans(const AttentionShape& shape, const float* spans, size_t count, size_t head, float* out) {
  const size_t value_width = whole_vectors(shape.value_size);
  static thread_local std::vector<float> joined;
  joined.assign(value_width, 0.0f);
  Running all = start_of(shape, head);
  for (size_t s = 0; s < count; s++) {
    const float* more = spans + (s * shape.heads + head) * span_floats(shape);
    join({more[0], more[1], 1}, more + 2, all, joined.data(), value_width);
  }
  write_out(shape, all, joined.data(), out);
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(attend_tile);
HWY_EXPORT(join_spans);

namespace {

// A single row that is longer than a span: all heads that fit, and some spans each. Whole rows of a cache are read faster than pieces.
std::vector<AttentionTile> tiles_of_spans(const AttentionShape& shape, const AttentionRow& row, size_t workers, float* spans) {
  const size_t group = shape.heads / shape.kv_heads, heads = std::min(group, queries_together), kv_count = std::min(shape.kv_heads, queries_together / heads);
  const size_t first = row.first / span_positions, last = (row.last + span_positions - 1) / span_positions;
  const size_t apart = (shape.kv_heads + kv_count - 1) / kv_count * ((group + heads - 1) / heads), wanted = std::max<size_t>(1, 8 * workers / apart);
  const size_t length = std::max<size_t>(1, (last - first) / wanted);
  std::vector<AttentionTile> out;
  for (size_t s = first; s < last; s += length)
    for (size_t kv = 0; kv < shape.kv_heads; kv += kv_count)
      for (size_t h = 0; h < group; h += heads)
        out.push_back({&row, 1, kv, std::min(kv_count, shape.kv_heads - kv), h, std::min(heads, group - h), group, std::max(row.first, s * span_positions),
                       std::min(row.last, (s + length) * span_positions), spans});
  return out;
}

// As many queries in each as fit, but tiles enough for all workers: of a prompt many rows, of a single row several key heads, or, where there is
// but one, a part of its group.
std::vector<AttentionTile> tiles_of(const AttentionShape& shape, std::span<const AttentionRow> rows, size_t workers) {
  const size_t group = shape.heads / shape.kv_heads;
  // Wide pieces of a single row's cache are read faster than narrow ones.
  const size_t wanted = rows.size() == 1 && shape.kv_heads % workers == 0 ? workers : 2 * workers;
  const size_t parts = std::clamp((wanted + rows.size() * shape.kv_heads - 1) / (rows.size() * shape.kv_heads), (group + queries_together - 1) / queries_together, group);
  const size_t heads = (group + parts - 1) / parts, together = std::max<size_t>(1, queries_together / heads);
  std::vector<AttentionTile> out;
  for (size_t begin = 0, end; begin < rows.size(); begin = end) {
    size_t first = rows[begin].first, last = rows[begin].last;
    for (end = begin + 1; end < rows.size() && end < begin + together && rows[end].keys.data == rows[begin].keys.data; end++)
      first = std::min(first, rows[end].first), last = std::max(last, rows[end].last);
    const size_t fit = std::max<size_t>(1, queries_together / ((end - begin) * heads)), share = std::max<size_t>(1, shape.kv_heads * rows.size() / wanted);
    const size_t kv_count = std::min({shape.kv_heads, fit, share});
    for (size_t kv = 0; kv < shape.kv_heads; kv += kv_count)
      for (size_t h = 0; h < group; h += heads)
        out.push_back({&rows[begin], end - begin, kv, std::min(kv_count, shape.kv_heads - kv), h, std::min(heads, group - h), group, first, last, nullptr});
  }
  return out;
}

void attend_tiles(const AttentionShape& shape, const std::vector<AttentionTile>& tiles, Workers& workers) {
  workers.run(tiles.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) HWY_DYNAMIC_DISPATCH(attend_tile)(shape, tiles[i]);
  });
}

}  // namespace

void attend(const AttentionShape& shape, std::span<const AttentionRow> rows, Workers& workers) {
  if (rows.empty()) return;
  const AttentionRow& row = rows[0];
  const size_t count = (row.last + span_positions - 1) / span_positions - row.first / span_positions;
  if (rows.size() > 1 || count == 1) return attend_tiles(shape, tiles_of(shape, rows, workers.size()), workers);
  static thread_local std::vector<float> room;
  room.resize(count * shape.heads * span_floats(shape));
  float* spans = room.data();
  attend_tiles(shape, tiles_of_spans(shape, row, workers.size(), spans), workers);
  workers.run(shape.heads, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t h = begin; h < end; h++) HWY_DYNAMIC_DISPATCH(join_spans)(shape, spans, count, h, row.out + h * shape.value_size);
  });
}

}  // namespace moiety
#endif
