// Panels of the types that choose points of a grid, taken apart at use. formats/codec_iq.cc draws their blocks; in a panel, byte i of the
// blocks of 16 rows stands side by side, so that a vector holds a number of each row.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panel_grids.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstring>

#include "base/error.h"
#include "formats/half.h"
#include "formats/iq_points.h"
#include "kernels/panel.h"

#ifndef MOIETY_PANEL_GRIDS
#define MOIETY_PANEL_GRIDS
namespace moiety {

using Plane = uint8_t[panel_rows];  // one byte of each row's block

// 256 columns of 16 rows, taken apart: byte i of points[l][r] belongs to column 8 l + i of row r.
struct alignas(64) Points {
  uint64_t points[32][panel_rows];
  Plane signs[32];              // of the types that store them apart: a set bit negates its number
  float scales[16][panel_rows]; // by sub-block
};

// Points as the bytes of one word.
struct Grids {
  uint64_t iq2_xxs[256], iq2_xs[512], iq2_s[1024];
  uint32_t iq3_xxs[256], iq3_s[512];
  uint64_t iq1[2][2048];  // eighths with the offset of codes: shifted up, and shifted down
};

}  // namespace moiety
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A vector of rows, a number each.
using D32 = hn::CappedTag<uint32_t, panel_rows>;
using V32 = hn::Vec<D32>;
constexpr D32 d32;

HWY_INLINE V32 byte_at(const Plane* in, size_t r) { return hn::PromoteTo(d32, hn::LoadU(hn::Rebind<uint8_t, D32>(), in[0] + r)); }
HWY_INLINE V32 word_at(const Plane* in, size_t r) { return hn::Or(byte_at(in, r), hn::ShiftLeft<8>(byte_at(in + 1, r))); }
HWY_INLINE V32 nibble_at(const Plane* in, size_t i, size_t r) { return hn::ShiftRightSame(byte_at(in + i / 2, r), static_cast<int>(i % 2 * 4)); }
HWY_INLINE V32 mask(V32 x, uint32_t bits) { return hn::And(x, hn::Set(d32, bits)); }

// eight_signs of formats/iq_points.h.
HWY_INLINE V32 with_eighth(V32 seven) {
  V32 odd = hn::Xor(seven, hn::ShiftRight<4>(seven));
  odd = hn::Xor(odd, hn::ShiftRight<2>(odd));
  return hn::Or(seven, hn::ShiftLeft<7>(mask(hn::Xor(odd, hn::ShiftRight<1>(odd)), 1)));
}
HWY_INLINE void store_bytes(V32 x, uint8_t* out) { hn::StoreU(hn::U8FromU32(x), hn::Rebind<uint8_t, D32>(), out); }

// Calls f(r) for every vector of rows that starts at r.
template <class Function>
HWY_INLINE void each_vector(Function f) {
  for (size_t r = 0; r < panel_rows; r += hn::Lanes(d32)) f(r);
}

// What scales are multiples of: d, or a part of it.
struct Unit {
  float at[panel_rows];
};
HWY_INLINE Unit unit_of(const Plane* d, float part) {
  Unit out;
  for (size_t r = 0; r < panel_rows; r++) out.at[r] = from_f16(static_cast<uint16_t>(d[0][r] | d[1][r] << 8)) * part;
  return out;
}
// 1 + 2 code times the unit: no rounding.
HWY_INLINE void put_scale(const Unit& unit, V32 code, size_t r, float* out) {
  const hn::Rebind<float, D32> df;
  const auto odd = hn::BitCast(hn::Rebind<int32_t, D32>(), hn::Add(hn::Add(code, code), hn::Set(d32, 1)));
  hn::StoreU(hn::Mul(hn::LoadU(df, unit.at + r), hn::ConvertTo(df, odd)), df, out + r);
}

// Points of a vector of rows. AVX-512 gathers them; where AVX2 is the best there is, gathering tends to be slow.
template <class Word>
HWY_INLINE void look_up(const Word* grid, V32 index, Word* HWY_RESTRICT out) {
#if HWY_TARGET <= HWY_AVX3
  const hn::CappedTag<Word, panel_rows> d;
  const hn::RebindToSigned<decltype(d)> at;
  if constexpr (sizeof(Word) == sizeof(uint32_t)) {
    hn::StoreU(hn::GatherIndex(d, grid, hn::BitCast(at, index)), d, out);
  } else {
    const hn::Half<D32> half;
    hn::StoreU(hn::GatherIndex(d, grid, hn::BitCast(at, hn::PromoteTo(d, hn::LowerHalf(half, index)))), d, out);
    hn::StoreU(hn::GatherIndex(d, grid, hn::BitCast(at, hn::PromoteTo(d, hn::UpperHalf(half, index)))), d, out + hn::Lanes(d));
  }
#else
  HWY_ALIGN uint32_t at[panel_rows];
  hn::Store(index, d32, at);
  for (size_t k = 0; k < hn::Lanes(d32); k++) out[k] = grid[at[k]];
#endif
}
// Four numbers a point: two of them make eight.
HWY_INLINE void look_up_pairs(const uint32_t* grid, V32 first, V32 second, uint64_t* HWY_RESTRICT out) {
  HWY_ALIGN uint32_t low[panel_rows], high[panel_rows];
  look_up(grid, first, low);
  look_up(grid, second, high);
  for (size_t k = 0; k < hn::Lanes(d32); k++) out[k] = low[k] | uint64_t{high[k]} << 32;
}

// Four times seven signs and a scale, in four bytes.
HWY_INLINE void signs_and_scale(const Plane* in, const Unit& unit, size_t r, Plane* signs, float* scales) {
  const V32 rest = hn::Or(word_at(in, r), hn::ShiftLeft<16>(word_at(in + 2, r)));
  put_scale(unit, hn::ShiftRight<28>(rest), r, scales);
  store_bytes(with_eighth(mask(rest, 127)), signs[0] + r);
  store_bytes(with_eighth(mask(hn::ShiftRight<7>(rest), 127)), signs[1] + r);
  store_bytes(with_eighth(mask(hn::ShiftRight<14>(rest), 127)), signs[2] + r);
  store_bytes(with_eighth(mask(hn::ShiftRight<21>(rest), 127)), signs[3] + r);
}

HWY_ATTR void iq2_xxs(const Plane* in, const Grids& grids, Points& out) {
  const Unit eighth = unit_of(in, 0.125f);
  for (size_t s = 0; s < 8; s++) {
    const Plane* q = in + 2 + s * 8;
    each_vector([&](size_t r) HWY_ATTR {
      for (size_t l = 0; l < 4; l++) look_up(grids.iq2_xxs, byte_at(q + l, r), out.points[4 * s + l] + r);
      signs_and_scale(q + 4, eighth, r, out.signs + 4 * s, out.scales[s]);
    });
  }
}

HWY_ATTR void iq2_xs(const Plane* in, const Grids& grids, Points& out) {
  const Unit eighth = unit_of(in, 0.125f);
  for (size_t s = 0; s < 16; s++)
    each_vector([&](size_t r) HWY_ATTR {
      put_scale(eighth, mask(nibble_at(in + 66, s, r), 15), r, out.scales[s]);
      for (size_t l = 2 * s; l < 2 * s + 2; l++) {
        const V32 q = word_at(in + 2 + 2 * l, r);
        look_up(grids.iq2_xs, mask(q, 511), out.points[l] + r);
        store_bytes(with_eighth(hn::ShiftRight<9>(q)), out.signs[l] + r);
      }
    });
}

HWY_ATTR void iq2_s(const Plane* in, const Grids& grids, Points& out) {
  const Unit eighth = unit_of(in, 0.125f);
  const Plane *low = in + 2, *signs = in + 34, *high = in + 66, *scales = in + 74;
  std::memcpy(out.signs, signs, sizeof(out.signs));
  for (size_t s = 0; s < 16; s++)
    each_vector([&](size_t r) HWY_ATTR {
      put_scale(eighth, mask(nibble_at(scales, s, r), 15), r, out.scales[s]);
      const V32 upper = hn::ShiftLeft<8>(nibble_at(high, s, r));
      look_up(grids.iq2_s, hn::Or(byte_at(low + 2 * s, r), mask(upper, 0x300)), out.points[2 * s] + r);
      look_up(grids.iq2_s, hn::Or(byte_at(low + 2 * s + 1, r), mask(hn::ShiftRight<2>(upper), 0x300)), out.points[2 * s + 1] + r);
    });
}

HWY_ATTR void iq3_xxs(const Plane* in, const Grids& grids, Points& out) {
  const Unit quarter = unit_of(in, 0.25f);
  for (size_t s = 0; s < 8; s++)
    each_vector([&](size_t r) HWY_ATTR {
      const Plane* q = in + 2 + s * 8;
      for (size_t l = 0; l < 4; l++) look_up_pairs(grids.iq3_xxs, byte_at(q + 2 * l, r), byte_at(q + 2 * l + 1, r), out.points[4 * s + l] + r);
      signs_and_scale(in + 66 + s * 4, quarter, r, out.signs + 4 * s, out.scales[s]);
    });
}

HWY_ATTR void iq3_s(const Plane* in, const Grids& grids, Points& out) {
  const Unit whole = unit_of(in, 1);
  const Plane *low = in + 2, *ninth = in + 66, *signs = in + 74, *scales = in + 106;
  std::memcpy(out.signs, signs, sizeof(out.signs));
  for (size_t s = 0; s < 8; s++)
    each_vector([&](size_t r) HWY_ATTR {
      put_scale(whole, mask(nibble_at(scales, s, r), 15), r, out.scales[s]);
      V32 upper = hn::ShiftLeft<8>(byte_at(ninth + s, r));
      for (size_t l = 4 * s; l < 4 * s + 4; l++, upper = hn::ShiftRight<2>(upper))
        look_up_pairs(grids.iq3_s, hn::Or(byte_at(low + 2 * l, r), mask(upper, 256)), hn::Or(byte_at(low + 2 * l + 1, r), mask(hn::ShiftRight<1>(upper), 256)),
                      out.points[l] + r);
    });
}

// IQ1: a point by eight bits and three more, which a bit follows that is set where the point is shifted down.
HWY_INLINE void shifted(const Grids& grids, V32 low, V32 high, uint64_t* HWY_RESTRICT out) {
  look_up(grids.iq1[0], hn::Or(low, hn::ShiftLeft<8>(mask(high, 15))), out);
}

HWY_ATTR void iq1_s(const Plane* in, const Grids& grids, Points& out) {
  const Unit eighth = unit_of(in, 0.125f);
  for (size_t s = 0; s < 8; s++)
    each_vector([&](size_t r) HWY_ATTR {
      V32 rest = word_at(in + 34 + s * 2, r);
      const V32 down = mask(hn::ShiftRight<12>(rest), 8);
      put_scale(eighth, mask(hn::ShiftRight<12>(rest), 7), r, out.scales[s]);
      for (size_t l = 4 * s; l < 4 * s + 4; l++, rest = hn::ShiftRight<3>(rest))
        shifted(grids, byte_at(in + 2 + l, r), hn::Or(mask(rest, 7), down), out.points[l] + r);
    });
}

HWY_ATTR void iq1_m(const Plane* in, const Grids& grids, Points& out) {
  const Plane *low = in, *rest = in + 32, *scales = in + 48;
  Plane d[2];
  for (size_t k = 0; k < 2; k++)
    for (size_t r = 0; r < panel_rows; r++) d[k][r] = static_cast<uint8_t>(scales[4 * k + 1][r] >> 4 | (scales[4 * k + 3][r] & 0xf0));
  const Unit eighth = unit_of(d, 0.125f);
  for (size_t s = 0; s < 16; s++)
    each_vector([&](size_t r) HWY_ATTR {
      put_scale(eighth, mask(hn::ShiftRightSame(word_at(scales + s / 4 * 2, r), static_cast<int>(s % 4 * 3)), 7), r, out.scales[s]);
      for (size_t l = 2 * s; l < 2 * s + 2; l++) shifted(grids, byte_at(low + l, r), nibble_at(rest, l, r), out.points[l] + r);
    });
}

// To the codes of a panel that is taken apart: eight times 32 columns, `bytes` apart. (Inlined by force: g++ 12 takes a template of its own
// for one without effect.)
template <bool apart_signs>
HWY_INLINE void put_codes(const Points& in, std::byte* codes, size_t bytes) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t c = 0; c < 256; c++)
    for (size_t r = 0; r < panel_rows; r++) {
      int code = static_cast<int>(in.points[c / 8][r] >> (c % 8 * 8) & 255);
      if (apart_signs) code = apart_offset + (in.signs[c / 8][r] >> (c % 8) & 1 ? -code : code);
      codes[c / 32 * bytes + c % 32 / 4 * 64 + 4 * r + c % 4] = static_cast<std::byte>(code);
    }
#else
  const hn::CappedTag<uint8_t, 64> d;
  const hn::Repartition<uint32_t, decltype(d)> d32;
  const size_t lanes = hn::Lanes(d);
  const auto zero = hn::Set(d, apart_offset);
  const auto load = [&](size_t l, size_t row) HWY_ATTR {
    const auto point = hn::Load(d, reinterpret_cast<const uint8_t*>(&in.points[l][row]));
    if constexpr (!apart_signs) return point;
    else return hn::IfThenElse(hn::LoadMaskBits(d, &in.signs[l][row]), hn::Sub(zero, point), hn::Add(zero, point));
  };
  for (size_t l = 0; l < 32; l++) {
    auto* out = reinterpret_cast<uint8_t*>(codes + l / 4 * bytes + l % 4 * 128);
    for (size_t row = 0; row < panel_rows; row += lanes / 4) {
      const auto low = hn::BitCast(d32, load(l, row)), high = hn::BitCast(d32, load(l, row + lanes / 8));
      hn::Store(hn::BitCast(d, hn::ConcatEven(d32, high, low)), d, out + 4 * row);
      hn::Store(hn::BitCast(d, hn::ConcatOdd(d32, high, low)), d, out + 64 + 4 * row);
    }
  }
#endif
}

template <void (*take)(const Plane*, const Grids&, Points&), bool apart_signs>
HWY_INLINE void each_block(const PanelFormat& f, const Plane* in, size_t cols, const Grids& grids, std::byte* out) {
  constexpr size_t columns = 256;
  const size_t stored = type_info(f.type).block_bytes, bytes = f.bytes(), codes_at = f.codes_at(), subs = f.subs();
  Points points;
  for (size_t c = 0; c < cols; c += columns, in += stored) {
    take(in, grids, points);
    put_codes<apart_signs>(points, out + codes_at, bytes);
    for (size_t at = 0; at < columns / 32; at++, out += bytes) std::memcpy(out, points.scales[at * subs], subs * sizeof(points.scales[0]));
  }
}

HWY_ATTR void take_apart_blocks(const PanelFormat& f, const Plane* in, size_t cols, const Grids& grids, std::byte* out) {
  switch (f.type) {
    case TensorType::iq1_s: return each_block<iq1_s, false>(f, in, cols, grids, out);
    case TensorType::iq1_m: return each_block<iq1_m, false>(f, in, cols, grids, out);
    case TensorType::iq2_xxs: return each_block<iq2_xxs, true>(f, in, cols, grids, out);
    case TensorType::iq2_xs: return each_block<iq2_xs, true>(f, in, cols, grids, out);
    case TensorType::iq2_s: return each_block<iq2_s, true>(f, in, cols, grids, out);
    case TensorType::iq3_xxs: return each_block<iq3_xxs, true>(f, in, cols, grids, out);
    case TensorType::iq3_s: return each_block<iq3_s, true>(f, in, cols, grids, out);
    default: break;  // take_apart_panel looked
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(take_apart_blocks);

namespace {

template <class Word, size_t points, size_t numbers>
void put(const Grid<points, numbers>& grid, Word (&out)[points]) {
  static_assert(sizeof(out) == sizeof(grid));
  std::memcpy(out, grid.data(), sizeof(out));
}

const Grids& grids() {
  static const Grids made = [] {
    Grids out;
    put(unpack<8>(iq2_xxs_grid, two_bit), out.iq2_xxs);
    put(unpack<8>(iq2_xs_grid, two_bit), out.iq2_xs);
    put(unpack<8>(iq2_s_grid, two_bit), out.iq2_s);
    put(unpack<4>(iq3_xxs_grid, xxs_three_bit), out.iq3_xxs);
    put(unpack<4>(iq3_s_grid, s_three_bit), out.iq3_s);
    put(unpack<8>(iq1_grid, std::array<int8_t, 3>{apart_offset - 7, apart_offset + 1, apart_offset + 9}), out.iq1[0]);
    put(unpack<8>(iq1_grid, std::array<int8_t, 3>{apart_offset - 9, apart_offset - 1, apart_offset + 7}), out.iq1[1]);
    return out;
  }();
  return made;
}

}  // namespace

void take_apart_panel(const PanelFormat& f, const std::byte* panel, size_t cols, std::byte* out) {
  if (!f.at_use) throw Error("panels of type {} are read as they rest", type_info(f.type).name);
  HWY_DYNAMIC_DISPATCH(take_apart_blocks)(f, reinterpret_cast<const Plane*>(panel), cols, grids(), out);
}

}  // namespace moiety
#endif
