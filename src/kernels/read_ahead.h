// What attention reads in a while, asked for a few lines at a time: a part of each row, block by block of positions, keys before values. That is the order in
// which it lies in memory, which is read fastest so.
#pragma once
#include "kernels/ask_ahead.h"
#include "kernels/cached_rows.h"

namespace moiety {

class ReadAhead {
 public:
  struct Part {  // of each row the bytes that begin `at` bytes into it
    const CachedRows* rows;
    size_t at, bytes;
  };
  // The positions [begin, end) in blocks of so many, counted from 0. `values` may name the bytes of the keys.
  ReadAhead(Part keys, Part values, size_t begin, size_t end, size_t block);
  // So many bytes further.
  void ask(size_t bytes) {
    const std::byte* at = at_;  // kept out of memory that others write
    owed_ += static_cast<ptrdiff_t>(bytes);
    for (; owed_ > 0 && at; at += line, owed_ -= line) {
      if (at >= row_end_) {
        owed_ += at - row_end_;  // a row's last line may be part of one
        if (!(at = next_row())) break;
      }
      if (ask_ahead.cache == Ask::second) __builtin_prefetch(at, 0, 2);
      else __builtin_prefetch(at);
    }
    at_ = at;
  }

 private:
  static constexpr ptrdiff_t line = 64;
  const std::byte* next_row();

  Part parts_[2];
  size_t part_count_, part_ = 0, position_, block_begin_, end_, block_;
  const std::byte *at_, *row_end_;
  ptrdiff_t owed_ = 0;  // bytes
};

}  // namespace moiety
