#include "kernels/panel.h"

#include <cstring>

#include "base/error.h"
#include "formats/codec.h"
#include "kernels/panel_blocks.h"

namespace moiety {
namespace {

bool is_float(TensorType type) { return type == TensorType::f32 || type == TensorType::f16 || type == TensorType::bf16; }

void put(std::byte* p, uint32_t bits) { *p |= static_cast<std::byte>(bits); }

// One plane of `bits` bits of the codes of 32 columns of row r; the plane starts out as zeros.
void put_plane(std::byte* plane, uint32_t bits, size_t row, const uint8_t* codes, uint32_t shift) {
  for (size_t c = 0; c < 32; c++) {
    const uint32_t code = codes[c] >> shift & ((1u << bits) - 1);
    const size_t g = c / 4, byte = 4 * row + c % 4;
    switch (bits) {
      case 8: put(plane + 64 * g + byte, code); break;
      case 4: put(plane + 64 * (g % 4) + byte, code << (4 * (g / 4))); break;
      case 2: put(plane + 64 * (g / 4) + byte, code << (2 * (g % 4))); break;
      case 1: put(plane + byte, code << g); break;
      default: break;
    }
  }
}

void put_super_block(const PanelFormat& f, const SuperBlock& block, size_t row, std::byte* out) {
  if (f.exponent_scale) out[row] = static_cast<std::byte>(block.d);
  else std::memcpy(out + 2 * row, &block.d, 2);
  if (f.minimum) std::memcpy(out + f.minimum_at() + 2 * row, &block.dmin, 2);
  for (size_t s = 0; s < f.subs() && f.scales != ScaleCodes::none; s++) {
    out[f.scales_at() + s * panel_rows + row] = static_cast<std::byte>(block.scales[s]);
    if (f.minimum_codes()) out[f.minima_at() + s * panel_rows + row] = static_cast<std::byte>(block.minima[s]);
  }
  for (size_t at = 0; at < f.columns / 32u; at++) {
    std::byte* codes = out + f.codes_at() + at * f.group_bytes();
    put_plane(codes, f.low_bits, row, block.codes + 32 * at, 0);
    if (f.high_bits) put_plane(codes + f.low_bytes(), f.high_bits, row, block.codes + 32 * at, f.low_bits);
  }
}

}  // namespace

const PanelFormat* panel_format(TensorType type) {
  for (const PanelFormat& f : panel_formats)
    if (f.type == type) return &f;
  return nullptr;
}

bool has_panels(TensorType type) { return is_float(type) || panel_format(type); }

size_t panel_bytes(TensorType type, size_t cols) {
  if (const PanelFormat* f = panel_format(type)) return cols / f->columns * f->bytes();
  return cols * panel_rows * type_info(type).block_bytes;
}

size_t panels(size_t rows) { return (rows + panel_rows - 1) / panel_rows; }

uint64_t packed_bytes(TensorType type, size_t rows, size_t cols) { return uint64_t{panels(rows)} * panel_bytes(type, cols); }

void pack_panel(const Matrix& w, size_t index, std::span<std::byte> out) {
  if (out.size() != panel_bytes(w.type, w.cols)) throw Error("a panel of {} columns takes {} bytes, not {}", w.cols, panel_bytes(w.type, w.cols), out.size());
  std::memset(out.data(), 0, out.size());
  const size_t first = index * panel_rows, count = std::min(panel_rows, w.rows - first);
  const PanelFormat* f = panel_format(w.type);
  for (size_t r = 0; r < count; r++) {
    const std::byte* row = w.row(first + r);
    if (!f) {
      const size_t size = type_info(w.type).block_bytes;
      for (size_t c = 0; c < w.cols; c++) std::memcpy(out.data() + (c * panel_rows + r) * size, row + c * size, size);
      continue;
    }
    const size_t stored = bytes_of(w.type, f->columns);
    for (size_t s = 0; s < w.cols / f->columns; s++) put_super_block(*f, take_apart(*f, row + s * stored), r, out.data() + s * f->bytes());
  }
}

}  // namespace moiety
