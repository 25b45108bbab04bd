#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cached_rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "formats/codec.h"
#include "formats/half.h"
#include "kernels/cached_rows.h"
#include "kernels/read_ahead.h"

#ifndef MOIETY_ROWS_PART
#define MOIETY_ROWS_PART
namespace moiety {
namespace {

// Of the rows [first, last) the `count` numbers that begin `at` bytes into each.
struct RowsPart {
  size_t first, last, at, bytes, count, stride;
  ReadAhead& ahead;
};

}  // namespace
}  // namespace moiety
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Without instructions for halves Highway converts them by rules of its own (it cuts instead of rounding, it knows no infinity): not here.
constexpr bool has_halves = HWY_TARGET <= HWY_AVX2;

// How many numbers of [0, count) were done: whole vectors.
template <class Half>
HWY_ATTR HWY_INLINE size_t from_halves(const std::byte* in, size_t count, float* out) {
  if (!has_halves && std::is_same_v<Half, hwy::float16_t>) return 0;
  const hn::ScalableTag<float> d;
  const hn::Rebind<Half, decltype(d)> half;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const Half*>(in) + i)), d, out + i);
  return i;
}

// The half at `in`, behind which six more bytes lie.
HWY_ATTR HWY_INLINE float one_half(const std::byte* in) {
  if constexpr (has_halves) {
    const hn::CappedTag<float, 4> d;
    return hn::GetLane(hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, decltype(d)>(), reinterpret_cast<const hwy::float16_t*>(in))));
  } else {
    uint16_t bits;
    std::memcpy(&bits, in, 2);
    return moiety::from_f16(bits);
  }
}

// Blocks of q8_0: a half, then 32 signed bytes.
HWY_ATTR HWY_INLINE size_t from_q8_0(const std::byte* in, size_t count, float* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int32_t, decltype(d)> whole;
  const hn::Rebind<int8_t, decltype(d)> byte;
  const size_t lanes = hn::Lanes(d);
  for (size_t block = 0; block < count / 32; block++, in += 34) {
    const auto scale = hn::Set(d, one_half(in));
    const int8_t* codes = reinterpret_cast<const int8_t*>(in + 2);
    for (size_t i = 0; i < 32; i += lanes)
      hn::StoreU(hn::Mul(scale, hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(byte, codes + i)))), d, out + block * 32 + i);
  }
  return count / 32 * 32;
}

// Whole vectors of each row [first, last), `at` bytes into it. Returns how many of the `count` numbers of every row were done.
template <class Convert>
HWY_ATTR HWY_INLINE size_t each_row(const CachedRows& rows, const RowsPart& part, float* out, Convert convert) {
  size_t done = 0;
  for (size_t p = part.first; p < part.last; p++, out += part.stride) {
    part.ahead.ask(part.bytes);
    done = convert(rows.row(p) + part.at, part.count, out);
  }
  return done;
}
HWY_ATTR size_t load_vectors(const CachedRows& rows, const RowsPart& part, float* out) {
  switch (rows.type) {
    case TensorType::f16: return each_row(rows, part, out, from_halves<hwy::float16_t>);
    case TensorType::bf16: return each_row(rows, part, out, from_halves<hwy::bfloat16_t>);
    case TensorType::q8_0: return each_row(rows, part, out, from_q8_0);
    default: return each_row(rows, part, out, [](const std::byte* in, size_t count, float* to) {
      std::memcpy(to, in, 4 * count);
      return count;
    });
  }
}

HWY_ATTR size_t to_halves(const float* in, size_t count, std::byte* out) {
  if (!has_halves) return 0;
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> half;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::DemoteTo(half, hn::LoadU(d, in + i)), half, reinterpret_cast<hwy::float16_t*>(out) + i);
  return i;
}

// Blocks of q8_0 whose largest number becomes 127: a row is cached once and at once, so no better scale is searched for.
HWY_ATTR void to_q8_0(const float* in, size_t count, std::byte* out) {
  const hn::CappedTag<float, 32> d;
  const hn::Rebind<int8_t, decltype(d)> byte;
  const size_t lanes = hn::Lanes(d);
  for (size_t block = 0; block < count / 32; block++, in += 32, out += 34) {
    auto largest = hn::Zero(d), zero = hn::Zero(d);
    for (size_t i = 0; i < 32; i += lanes) {
      const auto x = hn::LoadU(d, in + i);
      largest = hn::Max(largest, hn::Abs(x));
      zero = hn::MulAdd(hn::Zero(d), x, zero);  // not a number if one is not finite: then the block's scale is none, lest it be hidden
    }
    const float most = hn::GetLane(hn::MaxOfLanes(d, largest));
    const uint16_t bits = moiety::to_f16(most / 127 + hn::GetLane(hn::SumOfLanes(d, zero)));
    std::memcpy(out, &bits, 2);
    const auto per_step = hn::Set(d, most > 0 ? 127 / most : 0);
    for (size_t i = 0; i < 32; i += lanes)
      hn::StoreU(hn::DemoteTo(byte, hn::NearestInt(hn::Mul(hn::LoadU(d, in + i), per_step))), byte, reinterpret_cast<int8_t*>(out + 2) + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(load_vectors);
HWY_EXPORT(to_halves);
HWY_EXPORT(to_q8_0);

void store_row(std::span<const float> row, TensorType type, std::byte* out) {
  const TypeInfo& info = type_info(type);
  if (row.size() % info.block != 0)
    throw Error("a {} cache needs rows of a multiple of {} numbers, not {}; use --kv f16", info.name, info.block, row.size());
  if (type == TensorType::q8_0) {
    HWY_DYNAMIC_DISPATCH(to_q8_0)(row.data(), row.size(), out);
    return;
  }
  const size_t done = type == TensorType::f16 ? HWY_DYNAMIC_DISPATCH(to_halves)(row.data(), row.size(), out) : 0;
  if (done < row.size()) encode_row(type, row.subspan(done), {}, out + 2 * done);
}

void load_rows(const CachedRows& rows, size_t first, size_t last, size_t begin, size_t count, ReadAhead& ahead, float* out, size_t stride) {
  const TypeInfo& info = type_info(rows.type);
  if (begin % info.block || count % info.block) {  // a head that begins or ends within a block
    const size_t from = begin / info.block * info.block, to = (begin + count + info.block - 1) / info.block * info.block;
    static thread_local std::vector<float> room;
    room.resize((last - first) * (to - from));
    load_rows(rows, first, last, from, to - from, ahead, room.data(), to - from);
    for (size_t p = 0; p < last - first; p++) {
      std::copy_n(room.data() + p * (to - from) + (begin - from), count, out + p * stride);
      std::fill_n(out + p * stride + count, stride - count, 0.0f);
    }
    return;
  }
  const RowsPart part{first, last, begin / info.block * info.block_bytes, bytes_of(rows.type, count), count, stride, ahead};
  const size_t done = HWY_DYNAMIC_DISPATCH(load_vectors)(rows, part, out);
  if (done == stride) return;
  for (size_t p = first; p < last; p++, out += stride) {
    decode(rows.type, rows.row(p) + part.at + done / info.block * info.block_bytes, {out + done, count - done});
    std::fill(out + count, out + stride, 0.0f);
  }
}

}  // namespace moiety
#endif
