#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/q8_rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/q8_rows.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_ATTR inline float with_22_bits(float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & ~3u); }

// Sum of 16 signed bytes.
HWY_ATTR HWY_INLINE int32_t sum16(const int8_t* codes) {
  const hn::CappedTag<uint8_t, 16> d;
  const hn::Repartition<uint64_t, decltype(d)> wide;
  auto sums = hn::Zero(wide);
  for (size_t i = 0; i < 16; i += hn::Lanes(d)) sums = hn::Add(sums, hn::SumsOf8(hn::Xor(hn::LoadU(d, reinterpret_cast<const uint8_t*>(codes) + i), hn::Set(d, 0x80))));
  return static_cast<int32_t>(hn::GetLane(hn::SumOfLanes(wide, sums))) - 16 * 128;
}

HWY_ATTR void quantise_blocks(const float* x, size_t blocks, Q8Block* out) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  constexpr int32_t infinity = 0x7f800000;
  for (size_t b = 0; b < blocks; b++, x += 32) {
    Q8Block& block = out[b];
    auto largest = hn::Zero(di);  // bits of a float without sign are in the order of their numbers, and those of a NaN above all
    for (size_t i = 0; i < 32; i += lanes) largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
    const int32_t bits = hn::GetLane(hn::MaxOfLanes(di, largest));
    const float top = std::bit_cast<float>(bits);
    const auto inverse = hn::Set(d, bits > 0 && bits < infinity ? 127.0f / top : 0.0f);
    for (size_t i = 0; i < 32; i += lanes) {
      // A subnormal block's inverse is infinite: the limits keep its codes in range.
      const auto code = hn::Min(hn::Max(hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse)), hn::Set(di, -127)), hn::Set(di, 127));
      hn::StoreU(hn::DemoteTo(d8, code), d8, block.q + i);
    }
    const int32_t sum[2] = {sum16(block.q), sum16(block.q + 16)}, whole = sum[0] + sum[1];
    const float scale = bits >= infinity || top > q8_largest ? NAN : with_22_bits(top / 127.0f);
    block.scale = scale;
    block.scaled_start = scale * -0x1.8p23f;
    for (size_t half = 0; half < 2; half++) block.scaled_sum[half] = scale * static_cast<float>(sum[half]);
    block.scaled_whole = scale * static_cast<float>(whole);
    for (size_t i = 0; i < 3; i++) block.starts[i] = q8_start - q8_offsets[i] * whole;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(quantise_blocks);

void quantise_row(const float* x, size_t cols, Q8Block* out) {
  HWY_DYNAMIC_DISPATCH(quantise_blocks)(x, cols / 32, out);
  if (cols % 32 == 0) return;
  float rest[32] = {};
  std::copy(x + cols / 32 * 32, x + cols, rest);
  HWY_DYNAMIC_DISPATCH(quantise_blocks)(rest, 1, out + cols / 32);
}

Q8Rows::Q8Rows(ConstRows x, Workers& workers) : Q8Rows(x.rows, x.cols) {
  workers.run(x.rows, std::max<size_t>(1, 16384 / std::max<size_t>(1, x.cols)), [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; t++) quantise_row(x[t], x.cols, (*this)[t]);
  });
}

}  // namespace moiety
#endif
