// Blocks of the quantised types taken apart: codes, scales and minima as whole numbers, as they stand in the file.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/panel.h"

namespace moiety {

struct SuperBlock {
  uint16_t d = 0, dmin = 0;               // bits; of MXFP4 the exponent byte
  uint8_t scales[16] = {}, minima[16] = {};  // by sub-block, as PanelFormat says (two_nibbles: both in `scales`)
  uint8_t codes[256];                     // in the order of the columns; as many as the format has are written
};

// `block`: the stored bytes of one super-block (format.columns numbers).
SuperBlock take_apart(const PanelFormat& format, const std::byte* block);

}  // namespace moiety
