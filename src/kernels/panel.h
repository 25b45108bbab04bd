// Weights in kernel order: 16 rows side by side, so that one vector holds the same columns of 16 rows and no sum crosses lanes.
//
// A panel is 16 rows of a matrix (the last one filled up with zero rows); a matrix is its panels, one after another. Rows are cut into
// super-blocks of `columns` numbers, as the type is; a super-block of a panel holds
//
//   d        [16] f16                       scale of each row's super-block (MXFP4: [16] exponent bytes), where it has one
//   dmin     [16] f16                       where the type has minima
//   scales   [columns / sub][16] bytes      where sub-blocks have scales: signed, unsigned, (Q2_K) scale low and minimum high nibble, or
//                                           (NVFP4) E4M3 without a sign
//   minima   [columns / sub][16] bytes      where sub-blocks have minima (but for Q2_K)
//   codes    for each 32 columns: vectors of 64 bytes, byte 4 r + k of row r, column 4 g + k of group g in 0..7
//              8 bits: vector g          4 bits: vector v has group v in its low and group v + 4 in its high nibbles
//              2 bits: vector v has groups 4 v + f in bits 2 f, 2 f + 1         1 bit: bit g of one vector
//            first the low bits, then the high ones (Q5: 4 + 1, Q6: 4 + 2, Q3: 2 + 1)
//
// Floats (f32, f16, bf16) are [columns][16]. The order is the same on every instruction set; narrower vectors read halves of it.
//
// The types that choose points of a grid (IQ1 to IQ3) would grow by a quarter to a half in such an order. Their panels keep the bytes of the
// file, byte i of the 16 rows side by side, and are taken apart at use (take_apart_panel) into one of bytes, 64 more than the numbers, with
// float32 scales [columns / sub][16]. Nothing is lost there: a grid's numbers are whole, and scales have few bits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/tensor_type.h"
#include "kernels/matrix.h"

namespace moiety {

inline constexpr size_t panel_rows = 16;

enum class BlockScale : uint8_t { f16, exponent, none };  // d; an exponent is an E8M0 byte
enum class ScaleCodes : uint8_t { none, unsigned_byte, signed_byte, two_nibbles, e4m3, f32 };
// What a code stands for: itself, itself with a sign, twice itself, IQ4's curve, a 4-bit float doubled.
enum class Codes : uint8_t { plain, signed_byte, doubled, curve, fp4 };

inline constexpr uint8_t apart_offset = 64;  // of bytes that are taken apart at use

// How a quantised type lies in a panel: value = d * scale * (code - offset) [+ d_min * minimum].
struct PanelFormat {
  TensorType type;
  uint16_t columns;         // of a super-block
  uint8_t sub;              // columns of a sub-block: 32 or 16
  uint8_t low_bits, high_bits;
  uint8_t offset;           // subtracted from a plain code
  BlockScale d;
  bool minimum;             // dmin [16] f16 follows
  bool minimum_subtracted;  // its sign
  ScaleCodes scales;
  Codes codes;
  bool at_use = false;      // what is described is a panel taken apart; it rests in the blocks of the file

  constexpr size_t d_bytes() const { return d == BlockScale::f16 ? 2 * panel_rows : d == BlockScale::exponent ? panel_rows : 0; }
  constexpr size_t minimum_at() const { return d_bytes(); }
  constexpr size_t scales_at() const { return d_bytes() + (minimum ? 2 * panel_rows : 0); }
  constexpr size_t subs() const { return columns / sub; }
  constexpr bool minimum_codes() const { return minimum && scales == ScaleCodes::unsigned_byte; }
  constexpr size_t scale_bytes() const { return scales == ScaleCodes::none ? 0 : scales == ScaleCodes::f32 ? sizeof(float) : 1; }
  constexpr size_t minima_at() const { return scales_at() + subs() * panel_rows * scale_bytes(); }
  constexpr size_t codes_at() const { return minima_at() + (minimum_codes() ? subs() * panel_rows : 0); }
  constexpr size_t low_bytes() const { return low_bits * 64u; }  // of 32 columns
  constexpr size_t group_bytes() const { return (low_bits + high_bits) * 64u; }
  constexpr size_t bytes() const { return codes_at() + columns / 32 * group_bytes(); }
  constexpr bool is_signed() const { return codes == Codes::signed_byte || codes == Codes::curve; }
  constexpr int largest() const {
    const int bits = low_bits + high_bits;
    return is_signed() ? 128 : codes == Codes::fp4 ? 24 : codes == Codes::doubled ? 2 : bits == 8 ? 127 : (1 << bits) - 1;
  }
};

inline constexpr PanelFormat panel_formats[] = {
    //            columns, sub, low and high bits, offset, d, minimum and its sign, scales, codes
    {TensorType::q4_0, 32, 32, 4, 0, 8, BlockScale::f16, false, false, ScaleCodes::none, Codes::plain},
    {TensorType::q4_1, 32, 32, 4, 0, 0, BlockScale::f16, true, false, ScaleCodes::none, Codes::plain},
    {TensorType::q5_0, 32, 32, 4, 1, 16, BlockScale::f16, false, false, ScaleCodes::none, Codes::plain},
    {TensorType::q5_1, 32, 32, 4, 1, 0, BlockScale::f16, true, false, ScaleCodes::none, Codes::plain},
    {TensorType::q8_0, 32, 32, 8, 0, 0, BlockScale::f16, false, false, ScaleCodes::none, Codes::signed_byte},
    {TensorType::q2_k, 256, 16, 2, 0, 0, BlockScale::f16, true, true, ScaleCodes::two_nibbles, Codes::plain},
    {TensorType::q3_k, 256, 16, 2, 1, 4, BlockScale::f16, false, false, ScaleCodes::signed_byte, Codes::plain},
    {TensorType::q4_k, 256, 32, 4, 0, 0, BlockScale::f16, true, true, ScaleCodes::unsigned_byte, Codes::plain},
    {TensorType::q5_k, 256, 32, 4, 1, 0, BlockScale::f16, true, true, ScaleCodes::unsigned_byte, Codes::plain},
    {TensorType::q6_k, 256, 16, 4, 2, 32, BlockScale::f16, false, false, ScaleCodes::signed_byte, Codes::plain},
    {TensorType::iq4_nl, 32, 32, 4, 0, 0, BlockScale::f16, false, false, ScaleCodes::none, Codes::curve},
    {TensorType::iq4_xs, 256, 32, 4, 0, 0, BlockScale::f16, false, false, ScaleCodes::signed_byte, Codes::curve},
    {TensorType::mxfp4, 32, 32, 4, 0, 12, BlockScale::exponent, false, false, ScaleCodes::none, Codes::fp4},
    {TensorType::nvfp4, 64, 16, 4, 0, 12, BlockScale::none, false, false, ScaleCodes::e4m3, Codes::fp4},
    {TensorType::tq1_0, 256, 32, 2, 0, 1, BlockScale::f16, false, false, ScaleCodes::none, Codes::plain},
    {TensorType::tq2_0, 256, 32, 2, 0, 1, BlockScale::f16, false, false, ScaleCodes::none, Codes::plain},
    {TensorType::q1_0, 128, 32, 1, 0, 1, BlockScale::f16, false, false, ScaleCodes::none, Codes::doubled},
    {TensorType::q2_0, 64, 32, 2, 0, 1, BlockScale::f16, false, false, ScaleCodes::none, Codes::plain},
    {TensorType::iq1_s, 32, 32, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
    {TensorType::iq1_m, 32, 16, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
    {TensorType::iq2_xxs, 32, 32, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
    {TensorType::iq2_xs, 32, 16, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
    {TensorType::iq2_s, 32, 16, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
    {TensorType::iq3_xxs, 32, 32, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
    {TensorType::iq3_s, 32, 32, 8, 0, apart_offset, BlockScale::none, false, false, ScaleCodes::f32, Codes::plain, true},
};

// Types whose panels hold codes and scales; their products take 8-bit activations.
const PanelFormat* panel_format(TensorType type);
// Types that have a kernel order: the above, f32, f16 and bf16.
bool has_panels(TensorType type);

size_t panel_bytes(TensorType type, size_t cols);  // at rest
size_t panels(size_t rows);  // how many hold this many rows
uint64_t packed_bytes(TensorType type, size_t rows, size_t cols);

// Writes panel `index` of w: panel_bytes(w.type, w.cols) bytes. Nothing is lost.
void pack_panel(const Matrix& w, size_t index, std::span<std::byte> out);

// Of the types that are taken apart at use: the panel that kernels read, `ready_bytes` long, on an address that 64 divides.
size_t ready_bytes(const PanelFormat& format, size_t cols);
void take_apart_panel(const PanelFormat& format, const std::byte* panel, size_t cols, std::byte* out);

}  // namespace moiety
