#include "kernels/panel.h"

#include <cstring>

#include "base/error.h"
#include "formats/codec.h"
#include "kernels/panel_blocks.h"

namespace moiety {
namespace {

bool is_float(TensorType type) { return type == TensorType::f32 || type == TensorType::f16 || type == TensorType::bf16; }

// One plane of `bits` bits of the codes of 32 columns of row r, a word of four columns at a time.
template <uint32_t bits>
void put_plane(std::byte* plane, size_t row, const uint8_t* codes, uint32_t shift) {
  constexpr uint32_t mask = ((1u << bits) - 1) * 0x01010101u, together = 8 / bits;  // groups that share a byte
  uint32_t group[8];
  std::memcpy(group, codes, sizeof(group));
  for (uint32_t v = 0; v < bits; v++) {
    uint32_t word = 0;
    for (uint32_t f = 0; f < together; f++) word |= (group[bits == 4 ? v + 4 * f : v * together + f] >> shift & mask) << (bits * f % 8);
    std::memcpy(plane + 64 * v + 4 * row, &word, sizeof(word));
  }
}

void put_plane(uint32_t bits, std::byte* plane, size_t row, const uint8_t* codes, uint32_t shift) {
  switch (bits) {
    case 8: return put_plane<8>(plane, row, codes, shift);
    case 4: return put_plane<4>(plane, row, codes, shift);
    case 2: return put_plane<2>(plane, row, codes, shift);
    case 1: return put_plane<1>(plane, row, codes, shift);
    default: return;
  }
}

template <class Word>
void put_floats(const std::byte* from, size_t cols, size_t row, std::byte* out) {
  for (size_t c = 0; c < cols; c++) std::memcpy(out + (c * panel_rows + row) * sizeof(Word), from + c * sizeof(Word), sizeof(Word));
}

void put_super_block(const PanelFormat& f, const SuperBlock& block, size_t row, std::byte* out) {
  if (f.d == BlockScale::exponent) out[row] = static_cast<std::byte>(block.d);
  if (f.d == BlockScale::f16) std::memcpy(out + 2 * row, &block.d, 2);
  if (f.minimum) std::memcpy(out + f.minimum_at() + 2 * row, &block.dmin, 2);
  for (size_t s = 0; s < f.subs() && f.scales != ScaleCodes::none; s++) {
    out[f.scales_at() + s * panel_rows + row] = static_cast<std::byte>(block.scales[s]);
    if (f.minimum_codes()) out[f.minima_at() + s * panel_rows + row] = static_cast<std::byte>(block.minima[s]);
  }
  for (size_t at = 0; at < f.columns / 32u; at++) {
    std::byte* codes = out + f.codes_at() + at * f.group_bytes();
    put_plane(f.low_bits, codes, row, block.codes + 32 * at, 0);
    if (f.high_bits) put_plane(f.high_bits, codes + f.low_bytes(), row, block.codes + 32 * at, f.low_bits);
  }
}

void put_row(const PanelFormat& f, const std::byte* in, size_t cols, size_t row, std::byte* out) {
  if (f.at_use) {
    for (size_t i = 0, bytes = bytes_of(f.type, cols); i < bytes; i++) out[i * panel_rows + row] = in[i];
    return;
  }
  const size_t stored = bytes_of(f.type, f.columns);
  for (size_t s = 0; s < cols / f.columns; s++) put_super_block(f, take_apart(f, in + s * stored), row, out + s * f.bytes());
}

}  // namespace

const PanelFormat* panel_format(TensorType type) {
  for (const PanelFormat& f : panel_formats)
    if (f.type == type) return &f;
  return nullptr;
}

bool has_panels(TensorType type) { return is_float(type) || panel_format(type); }

size_t panel_bytes(TensorType type, size_t cols) {
  const PanelFormat* f = panel_format(type);
  return f && !f->at_use ? cols / f->columns * f->bytes() : panel_rows * bytes_of(type, cols);
}

size_t ready_bytes(const PanelFormat& format, size_t cols) { return cols / format.columns * format.bytes(); }

size_t panels(size_t rows) { return (rows + panel_rows - 1) / panel_rows; }

uint64_t packed_bytes(TensorType type, size_t rows, size_t cols) { return uint64_t{panels(rows)} * panel_bytes(type, cols); }

void pack_panel(const Matrix& w, size_t index, std::span<std::byte> out) {
  if (out.size() != panel_bytes(w.type, w.cols)) throw Error("a panel of {} columns takes {} bytes, not {}", w.cols, panel_bytes(w.type, w.cols), out.size());
  const size_t first = index * panel_rows, count = std::min(panel_rows, w.rows - first);
  if (count < panel_rows) std::memset(out.data(), 0, out.size());
  const PanelFormat* f = panel_format(w.type);
  for (size_t r = 0; r < count; r++) {
    const std::byte* row = w.row(first + r);
    if (f) put_row(*f, row, w.cols, r, out.data());
    else if (w.type == TensorType::f32) put_floats<uint32_t>(row, w.cols, r, out.data());
    else put_floats<uint16_t>(row, w.cols, r, out.data());
  }
}

}  // namespace moiety
