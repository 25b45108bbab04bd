// The products of one panel with a few rows of activations, for each instruction set. Internal to kernels/.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/panel.h"
#include "kernels/q8_rows.h"

namespace moiety {

// Two panels of one form that meet the same rows, and the panel that comes after them, or any place: its first lines are asked for while the last
// ones of these are used. `second` may be null.
struct PanelPair {
  const std::byte *first, *second, *next;
  bool cached;       // both were read just before
  bool two_streams;  // where they come from memory, few rows meet both at once, not one after the other
};
using PairOutputs = float[2 * panel_rows];

// out[t][r] = row r of the first panel times activation row x[t], out[t][panel_rows + r] = row r of the second.
// `x` are Q8Block rows where the type has a PanelFormat, else float rows.
using PanelKernel = void (*)(const PanelPair& panels, size_t cols, const void* const* x, size_t tokens, PairOutputs* out);

inline constexpr size_t panel_tile = 32;  // the most rows of activations that a kernel is asked for at once

struct PanelKernels {
  const char* name;
  size_t tile;  // rows of activations for which a panel is best asked at once: at most panel_tile
  PanelKernel quantised[sizeof(panel_formats) / sizeof(panel_formats[0])];  // in the order of panel_formats
  PanelKernel f32, f16, bf16;
  // The most that multiplications alone can do, from registers: multiply-adds done in `rounds` rounds, of bytes and of floats.
  uint64_t (*spin_bytes)(uint64_t rounds);
  uint64_t (*spin_floats)(uint64_t rounds);

  // How many of the rows that are left to take next: a tile, and what lies between one and two of them in near halves.
  size_t next_rows(size_t left) const { return left <= tile ? left : left >= 2 * tile ? tile : (left / 2 + 3) / 4 * 4; }
};

extern const PanelKernels panel_kernels_portable, panel_kernels_avx2, panel_kernels_avxvnni, panel_kernels_avx512, panel_kernels_avx512vnni;

}  // namespace moiety
