#include "kernels/read_ahead.h"

#include <algorithm>

namespace moiety {

ReadAhead::ReadAhead(Part keys, Part values, size_t begin, size_t end, size_t block)
    : parts_{keys, values}, part_count_(keys.rows->data == values.rows->data ? 1 : 2), position_(begin), block_begin_(begin), end_(end), block_(block) {
  at_ = row_end_ = nullptr;
  at_ = next_row();
}

// The next row's part; null behind the last.
const std::byte* ReadAhead::next_row() {
  if (position_ == std::min(end_, block_begin_ / block_ * block_ + block_)) {  // of the block
    part_ = (part_ + 1) % part_count_;
    if (part_ == 0) block_begin_ = position_;
    position_ = block_begin_;
  }
  if (position_ >= end_) return nullptr;
  const Part& part = parts_[part_];
  const std::byte* row = part.rows->row(position_++) + part.at;
  row_end_ = row + part.bytes;
  return row;
}

}  // namespace moiety
