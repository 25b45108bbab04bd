#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/attention.h"

#ifndef MOIETY_ATTENTION_TILE
#define MOIETY_ATTENTION_TILE
namespace moiety {
namespace {

constexpr size_t positions_together = 32;  // of a block
constexpr size_t queries_together = 32;    // of a tile

// Some rows of one sequence, some key heads, and some heads of each one's group: a query each, by key head, row and head. A row's key heads lie
// beside each other in the cache, so that taking several of them at a position reads memory in order.
struct AttentionTile {
  const AttentionRow* rows;
  size_t row_count, first_kv, kv_count, first_in_group, head_count, group;
  size_t queries_of_kv() const { return row_count * head_count; }
  size_t queries() const { return kv_count * queries_of_kv(); }
  const AttentionRow& row(size_t q) const { return rows[q / head_count % row_count]; }
  size_t head(size_t q) const { return (first_kv + q / queries_of_kv()) * group + first_in_group + q % head_count; }
};

}  // namespace
}  // namespace moiety
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr size_t lanes = HWY_LANES(float);
static_assert(positions_together % lanes == 0);

constexpr size_t whole_vectors(size_t n) { return (n + lanes - 1) / lanes * lanes; }

// out[k] = the sum of the lanes of x[k], k < 4.
#if HWY_TARGET == HWY_SCALAR
HWY_ATTR HWY_INLINE void store_sums(const V* x, float* out) {
  for (size_t k = 0; k < 4; k++) out[k] = hn::GetLane(x[k]);
}
#else
template <class T>
HWY_ATTR HWY_INLINE auto fold(T d, hn::Vec<T> x) {
  if constexpr (hn::MaxLanes(T()) == 4) {
    return x;
  } else {
    const hn::Half<T> half;
    return fold(half, hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)));
  }
}
HWY_ATTR HWY_INLINE void store_sums(const V* x, float* out) {
  const D d;
  const hn::Repartition<double, D> pairs;
  const auto ab = hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, x[0], x[1]), hn::InterleaveUpper(d, x[0], x[1])));
  const auto ce = hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, x[2], x[3]), hn::InterleaveUpper(d, x[2], x[3])));
  const V low = hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)), high = hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce));
  hn::StoreU(fold(d, hn::Add(low, high)), hn::FixedTag<float, 4>(), out);
}
#endif

// A block's rows of one key head, to be read a vector at a time: rows of floats, or as they lie in the cache. What lies `next` bytes after a row of
// the cache is read soon and asked for with it.
struct FloatRows {
  const float* first;
  size_t width;
  const float* row(size_t p) const { return first + p * width; }
  HWY_INLINE void ask(const float*) const {}
  HWY_ATTR HWY_INLINE V at(const float* row, size_t i) const { return hn::LoadU(D(), row + i); }
};
template <class Number>
struct CacheRows {
  const std::byte* first;
  size_t row_bytes, bytes;
  ptrdiff_t next;
  const std::byte* row(size_t p) const { return first + p * row_bytes; }
  HWY_INLINE void ask(const std::byte* row) const {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + next + i);
  }
  HWY_ATTR HWY_INLINE V at(const std::byte* row, size_t i) const {
    const D d;
    const Number* x = reinterpret_cast<const Number*>(row) + i;
    if constexpr (sizeof(Number) == sizeof(float))
      return hn::LoadU(d, x);
    else
      return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Number, D>(), x));
  }
};

// scores[q][p] = query q times key p, for Q queries and the keys [begin, end); width is whole vectors. Four keys at a time, from a multiple of
// four on: scores beside the range are written and mean nothing.
template <int Q, class Rows>
HWY_ATTR void score(const float* queries, const Rows& keys, size_t width, size_t begin, size_t end, float* scores) {
  const D d;
  for (size_t p = begin / 4 * 4; p < end; p += 4) {
    V sums[Q][4];
    decltype(keys.row(0)) row[4];
    for (size_t k = 0; k < 4; k++) {
      row[k] = keys.row(std::clamp(p + k, begin, end - 1));
      keys.ask(row[k]);
      for (int q = 0; q < Q; q++) sums[q][k] = hn::Zero(d);
    }
    for (size_t i = 0; i < width; i += lanes) {
      V key[4];
      for (int k = 0; k < 4; k++) key[k] = keys.at(row[k], i);
      for (int q = 0; q < Q; q++) {
        const V query = hn::LoadU(d, queries + q * width + i);
        for (int k = 0; k < 4; k++) sums[q][k] = hn::MulAdd(query, key[k], sums[q][k]);
      }
    }
    for (int q = 0; q < Q; q++) store_sums(sums[q], scores + q * positions_together + p);
  }
}

struct Running {
  float top, sum, factor;  // the largest score so far, the sum of exp(score - top), what this block's new top makes of earlier sums
};

// c tanh(x / c), tanh(z) = 1 - 2 / (exp(2 z) + 1)
HWY_ATTR HWY_NOINLINE V capped(V x, float c) {
  const D d;
  const V one = hn::Set(d, 1.0f), most = hn::Set(d, 80.0f), two_z = hn::Div(hn::Add(x, x), hn::Set(d, c));
  const V power = hn::Exp(d, hn::Max(hn::Min(two_z, most), hn::Neg(most)));
  return hn::Mul(hn::Set(d, c), hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(power, one))));
}

// Scores of the block's positions [begin, end) become weights exp(score - top), all others 0.
HWY_ATTR void weigh(const AttentionShape& shape, size_t begin, size_t end, float* scores, Running& running) {
  const D d;
  const V scale = hn::Set(d, shape.scale), none = hn::Set(d, -std::numeric_limits<float>::infinity());
  const V low = hn::Set(d, static_cast<float>(begin)), high = hn::Set(d, static_cast<float>(end));
  V most = hn::Set(d, running.top);
  for (size_t p = 0; p < positions_together; p += lanes) {
    V x = hn::Mul(hn::LoadU(d, scores + p), scale);
    if (shape.softcap > 0) x = capped(x, shape.softcap);
    const V position = hn::Iota(d, static_cast<float>(p));
    x = hn::IfThenElse(hn::And(hn::Ge(position, low), hn::Lt(position, high)), x, none);
    hn::StoreU(x, d, scores + p);
    most = hn::Max(most, x);
  }
  most = hn::MaxOfLanes(d, most);
  V sum = hn::Zero(d);
  for (size_t p = 0; p < positions_together; p += lanes) {
    // Far below the top a weight is 0; Exp itself wants finite numbers.
    const V x = hn::Sub(hn::LoadU(d, scores + p), most), tiny = hn::Set(d, -100.0f);
    const V weight = hn::IfThenElseZero(hn::Gt(x, tiny), hn::Exp(d, hn::Max(x, tiny)));
    hn::StoreU(weight, d, scores + p);
    sum = hn::Add(sum, weight);
  }
  // A block without a new top, be it that all of it is masked, leaves earlier sums as they are to the bit.
  const float top = hn::GetLane(most);
  running.factor = top == running.top ? 1 : hn::GetLane(hn::Exp(d, hn::Max(hn::Set(d, running.top - top), hn::Set(d, -100.0f))));
  running.top = top;
  running.sum = running.sum * running.factor + hn::GetLane(hn::SumOfLanes(d, sum));
}

// out[q][i] = out[q][i] * factor[q] + sum over p in [begin, end) of weights[q][p] values[p][i], C vectors of i at a time.
template <int Q, int C, class Rows>
HWY_ATTR HWY_INLINE size_t add_columns(const float* weights, const Rows& values, size_t width, size_t begin, size_t end, const Running* running, float* out, size_t i) {
  const D d;
  for (; i + C * lanes <= width; i += C * lanes) {
    V sums[Q][C];
    for (int q = 0; q < Q; q++)
      for (int c = 0; c < C; c++) sums[q][c] = hn::Mul(hn::LoadU(d, out + q * width + i + c * lanes), hn::Set(d, running[q].factor));
    for (size_t p = begin; p < end; p++) {
      const auto row = values.row(p);
      if (i == 0) values.ask(row);
      V value[C];
      for (int c = 0; c < C; c++) value[c] = values.at(row, i + c * lanes);
      for (int q = 0; q < Q; q++) {
        const V weight = hn::Set(d, weights[q * positions_together + p]);
        for (int c = 0; c < C; c++) sums[q][c] = hn::MulAdd(weight, value[c], sums[q][c]);
      }
    }
    for (int q = 0; q < Q; q++)
      for (int c = 0; c < C; c++) hn::StoreU(sums[q][c], d, out + q * width + i + c * lanes);
  }
  return i;
}
template <int Q, int C, class Rows>
HWY_ATTR void add_values(const float* weights, const Rows& values, size_t width, size_t begin, size_t end, const Running* running, float* out) {
  const size_t done = add_columns<Q, C>(weights, values, width, begin, end, running, out, 0);
  add_columns<Q, 1>(weights, values, width, begin, end, running, out, done);
}

constexpr int together = lanes >= 16 ? 4 : 2;  // queries whose sums fit into the registers

// What the queries [from, to) of a tile, all of one key head, have so far.
struct TileState {
  size_t key_width, value_width;  // whole vectors
  float *query, *out, *scores;    // [queries, key_width], [queries, value_width], [queries, positions_together]
  Running* running;
};

// Takes the positions [begin, end) into the sums of the queries [from, to), all of one key head; a row p of keys and values is position block + p.
template <class Keys, class Values>
HWY_ATTR void take_block(const AttentionShape& shape, const AttentionTile& tile, const TileState& s, size_t from, size_t to, size_t block, size_t begin,
                         size_t end, const Keys& keys, const Values& values) {
  const size_t low = begin - block, high = end - block;
  float *query = s.query + from * s.key_width, *scores = s.scores + from * positions_together, *out = s.out + from * s.value_width;
  Running* running = s.running + from;
  const size_t count = to - from;
  size_t q = 0;
  for (; q + together <= count; q += together) score<together>(query + q * s.key_width, keys, s.key_width, low, high, scores + q * positions_together);
  for (; q < count; q++) score<1>(query + q * s.key_width, keys, s.key_width, low, high, scores + q * positions_together);
  for (q = 0; q < count; q++) {
    const AttentionRow& row = tile.row(from + q);
    weigh(shape, std::clamp(row.first, block, end) - block, std::clamp(row.last, block, end) - block, scores + q * positions_together, running[q]);
  }
  for (q = 0; q + together <= count; q += together)
    add_values<together, 4>(scores + q * positions_together, values, s.value_width, low, high, running + q, out + q * s.value_width);
  for (; q < count; q++) add_values<1, 8>(scores + q * positions_together, values, s.value_width, low, high, running + q, out + q * s.value_width);
}

// From one key head's part of the rows to what is read next: the tile's next key head there, or its first one a block later.
ptrdiff_t to_next(const AttentionTile& tile, const CachedRows& rows, size_t kv, size_t size) {
  const auto bytes = [&](size_t heads) { return static_cast<ptrdiff_t>(bytes_of(rows.type, heads * size)); };
  return kv + 1 < tile.kv_count ? bytes(1) : static_cast<ptrdiff_t>(positions_together * rows.row_bytes) - bytes(kv);
}

template <class Rows>
HWY_ATTR void take_in_place(const AttentionShape& shape, const AttentionTile& tile, const TileState& s, size_t kv, size_t block, size_t begin, size_t end) {
  const auto part = [&](const CachedRows& rows, size_t size) {
    const size_t at = bytes_of(rows.type, (tile.first_kv + kv) * size);
    return Rows{rows.row(block) + at, rows.row_bytes, bytes_of(rows.type, size), to_next(tile, rows, kv, size)};
  };
  const size_t from = kv * tile.queries_of_kv();
  take_block(shape, tile, s, from, from + tile.queries_of_kv(), block, begin, end, part(tile.rows[0].keys, shape.key_size),
             part(tile.rows[0].values, shape.value_size));
}

// Few queries read a cache of floats, be they 16 bits, as it lies; for many, and from q8_0, its numbers become float32 first (null). The bits are
// the same.
using TakeInPlace = void (*)(const AttentionShape&, const AttentionTile&, const TileState&, size_t kv, size_t block, size_t begin, size_t end);
TakeInPlace in_place(const AttentionShape& shape, const AttentionTile& tile) {
  const size_t count = tile.queries_of_kv();
  if (count != 1 && (count % together != 0 || count > 2 * together)) return nullptr;
  if (shape.key_size % lanes != 0 || shape.value_size % lanes != 0) return nullptr;
  switch (tile.rows[0].keys.type) {
    case TensorType::f32: return take_in_place<CacheRows<float>>;
    case TensorType::f16: return HWY_TARGET <= HWY_AVX2 ? take_in_place<CacheRows<hwy::float16_t>> : nullptr;  // see cached_rows.cc
    case TensorType::bf16: return take_in_place<CacheRows<hwy::bfloat16_t>>;
    default: return nullptr;
  }
}

HWY_ATTR void take_as_floats(const AttentionShape& shape, const AttentionTile& tile, const TileState& s, size_t kv, size_t block, size_t begin, size_t end,
                             float* keys, float* values) {
  const auto load = [&](const CachedRows& rows, size_t size, float* out, size_t width) {
    load_rows(rows, begin, end, (tile.first_kv + kv) * size, size, to_next(tile, rows, kv, size), out + (begin - block) * width, width);
    return FloatRows{out, width};
  };
  const size_t from = kv * tile.queries_of_kv();
  const FloatRows k = load(tile.rows[0].keys, shape.key_size, keys, s.key_width), v = load(tile.rows[0].values, shape.value_size, values, s.value_width);
  take_block(shape, tile, s, from, from + tile.queries_of_kv(), block, begin, end, k, v);
}

HWY_ATTR void attend_tile(const AttentionShape& shape, const AttentionTile& tile) {
  const size_t queries = tile.queries(), key_width = whole_vectors(shape.key_size), value_width = whole_vectors(shape.value_size);
  static thread_local std::vector<float> room;
  room.resize((queries + positions_together) * (key_width + value_width) + queries * positions_together);
  float* query = room.data();                         // [queries, key_width], row by row
  float* out = query + queries * key_width;           // [queries, value_width]
  float* keys = out + queries * value_width;          // [positions_together, key_width]
  float* values = keys + positions_together * key_width;
  float* scores = values + positions_together * value_width;  // [queries, positions_together]
  Running running[queries_together];
  const TileState state{key_width, value_width, query, out, scores, running};

  size_t first = tile.rows[0].first, last = tile.rows[0].last;
  for (size_t q = 0; q < queries; q++) {
    const AttentionRow& row = tile.row(q);
    std::copy_n(row.query + tile.head(q) * shape.key_size, shape.key_size, query + q * key_width);
    std::fill_n(query + q * key_width + shape.key_size, key_width - shape.key_size, 0.0f);
    running[q] = shape.sinks.empty() ? Running{-3e38f, 0, 1} : Running{shape.sinks[tile.head(q)], 1, 1};
    first = std::min(first, row.first);
    last = std::max(last, row.last);
  }
  std::fill_n(out, queries * value_width, 0.0f);

  const TakeInPlace take_in_place = in_place(shape, tile);
  for (size_t block = first / positions_together * positions_together; block < last; block += positions_together) {
    const size_t begin = std::max(block, first), end = std::min(block + positions_together, last);
    for (size_t kv = 0; kv < tile.kv_count; kv++) {
      if (take_in_place)
        take_in_place(shape, tile, state, kv, block, begin, end);
      else
        take_as_floats(shape, tile, state, kv, block, begin, end, keys, values);
    }
  }

  for (size_t q = 0; q < queries; q++) {
    float* to = tile.row(q).out + tile.head(q) * shape.value_size;
    for (size_t i = 0; i < shape.value_size; i++) to[i] = out[q * value_width + i] / running[q].sum;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(attend_tile);

namespace {

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
    for (end = begin + 1; end < rows.size() && end < begin + together && rows[end].keys.data == rows[begin].keys.data;) end++;
    const size_t fit = std::max<size_t>(1, queries_together / ((end - begin) * heads)), share = std::max<size_t>(1, shape.kv_heads * rows.size() / wanted);
    const size_t kv_count = std::min({shape.kv_heads, fit, share});
    for (size_t kv = 0; kv < shape.kv_heads; kv += kv_count)
      for (size_t h = 0; h < group; h += heads)
        out.push_back({&rows[begin], end - begin, kv, std::min(kv_count, shape.kv_heads - kv), h, std::min(heads, group - h), group});
  }
  return out;
}

}  // namespace

void attend(const AttentionShape& shape, std::span<const AttentionRow> rows, Workers& workers) {
  if (rows.empty()) return;
  const std::vector<AttentionTile> tiles = tiles_of(shape, rows, workers.size());
  workers.run(tiles.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) HWY_DYNAMIC_DISPATCH(attend_tile)(shape, tiles[i]);
  });
}

}  // namespace moiety
#endif
