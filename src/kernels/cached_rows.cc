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

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// How many numbers of [0, count) were done: whole vectors.
template <class Half>
HWY_ATTR HWY_INLINE size_t from_halves(const std::byte* in, size_t count, float* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<Half, decltype(d)> half;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const Half*>(in) + i)), d, out + i);
  return i;
}
HWY_ATTR size_t from_f16(const std::byte* in, size_t count, float* out) { return from_halves<hwy::float16_t>(in, count, out); }
HWY_ATTR size_t from_bf16(const std::byte* in, size_t count, float* out) { return from_halves<hwy::bfloat16_t>(in, count, out); }

// A block of q8_0: a half, then 32 signed bytes.
HWY_ATTR size_t from_q8_0(const std::byte* in, size_t count, float* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int32_t, decltype(d)> whole;
  const hn::Rebind<int8_t, decltype(d)> byte;
  const size_t lanes = hn::Lanes(d);
  for (size_t block = 0; block < count / 32; block++, in += 34) {
    uint16_t bits;
    std::memcpy(&bits, in, 2);
    const auto scale = hn::Set(d, moiety::from_f16(bits));
    const int8_t* codes = reinterpret_cast<const int8_t*>(in + 2);
    for (size_t i = 0; i < 32; i += lanes)
      hn::StoreU(hn::Mul(scale, hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(byte, codes + i)))), d, out + block * 32 + i);
  }
  return count / 32 * 32;
}

HWY_ATTR size_t to_f16(const float* in, size_t count, std::byte* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> half;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(hn::DemoteTo(half, hn::LoadU(d, in + i)), half, reinterpret_cast<hwy::float16_t*>(out) + i);
  return i;
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(from_f16);
HWY_EXPORT(from_bf16);
HWY_EXPORT(from_q8_0);
HWY_EXPORT(to_f16);

namespace {

size_t whole_vectors(TensorType type, const std::byte* in, size_t count, float* out) {
  switch (type) {
    case TensorType::f16: return HWY_DYNAMIC_DISPATCH(from_f16)(in, count, out);
    case TensorType::bf16: return HWY_DYNAMIC_DISPATCH(from_bf16)(in, count, out);
    case TensorType::q8_0: return HWY_DYNAMIC_DISPATCH(from_q8_0)(in, count, out);
    default: return 0;
  }
}

void load_part(TensorType type, const std::byte* row, size_t begin, size_t count, float* out) {
  if (type == TensorType::f32) {
    std::memcpy(out, row + 4 * begin, 4 * count);
    return;
  }
  const TypeInfo& info = type_info(type);
  if (begin % info.block || count % info.block) {  // a head that begins or ends within a block
    const size_t first = begin / info.block * info.block, last = (begin + count + info.block - 1) / info.block * info.block;
    static thread_local std::vector<float> room;
    room.resize(last - first);
    load_part(type, row, first, last - first, room.data());
    std::copy_n(room.data() + (begin - first), count, out);
    return;
  }
  const std::byte* at = row + begin / info.block * info.block_bytes;
  const size_t done = whole_vectors(type, at, count, out);
  if (done < count) decode(type, at + done / info.block * info.block_bytes, {out + done, count - done});
}

}  // namespace

void store_row(std::span<const float> row, TensorType type, std::byte* out) {
  const TypeInfo& info = type_info(type);
  if (row.size() % info.block != 0)
    throw Error("a {} cache needs rows of a multiple of {} numbers, not {}; use --kv f16", info.name, info.block, row.size());
  const size_t done = type == TensorType::f16 ? HWY_DYNAMIC_DISPATCH(to_f16)(row.data(), row.size(), out) : 0;
  if (done < row.size()) encode_row(type, row.subspan(done), {}, out + 2 * done);
}

void load_rows(const CachedRows& rows, size_t first, size_t last, size_t begin, size_t count, float* out, size_t stride) {
  // Rows of a sequence lie far apart: those that come soon are asked for now.
  constexpr size_t ahead = 8;
  const TypeInfo& info = type_info(rows.type);
  const size_t at = begin / info.block * info.block_bytes, bytes = bytes_of(rows.type, (count + info.block - 1) / info.block * info.block);
  for (size_t p = first; p < last; p++, out += stride) {
    for (size_t i = 0; p + ahead < last && i < bytes; i += 64) __builtin_prefetch(rows.row(p + ahead) + at + i);
    load_part(rows.type, rows.row(p), begin, count, out);
    std::fill(out + count, out + stride, 0.0f);
  }
}

}  // namespace moiety
#endif
