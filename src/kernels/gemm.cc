#include "kernels/gemm.h"

#include <algorithm>
#include <cassert>

#include "kernels/gemm_kernel.h"
#include "kernels/isa.h"

namespace moiety {
namespace {

constexpr size_t depth_block = 256;   // numbers of k that a tile sums in registers before it meets C
constexpr size_t row_block = 96;      // rows of A that meet a panel of B while it lies in the first cache
constexpr size_t task_rows = 528, task_columns = 256;  // the most of C that one thread takes at a time

const GemmKernel& kernel() {
  switch (current_isa()) {
    case Isa::avx512vnni:
    case Isa::avx512: return gemm_kernel_avx512;
    case Isa::avxvnni:
    case Isa::avx2: return gemm_kernel_avx2;
    case Isa::portable: break;
  }
  return gemm_kernel_portable;
}

void grow(std::vector<float, HugePageAllocator<float>>& room, size_t count) {
  if (room.size() < count) room.resize(count);
}

// B's rows [from, from + depth) as panels of a tile's columns: [panel][depth][columns], zeros beyond the last column.
void pack_b(const GemmKernel& kernel, const GemmOperand& b, size_t from, size_t depth, size_t n, float* out) {
  const size_t columns = kernel.columns, whole = n / columns, rest = n % columns;
  const float* source = b.data + from * b.row;
  if (b.column == 1) kernel.copy_columns(source, b.row, depth, whole, out);
  else for (size_t t = 0; t < whole; t++) kernel.transpose(source + t * columns * b.column, b.column, depth, out + t * depth * columns);
  if (rest == 0) return;
  source += whole * columns * b.column, out += whole * depth * columns;
  for (size_t d = 0; d < depth; d++, out += columns) {
    for (size_t j = 0; j < rest; j++) out[j] = source[d * b.row + j * b.column];
    std::fill(out + rest, out + columns, 0.0f);
  }
}

// A's columns [from, from + depth), whose rows are neighbours in memory, as [tile][depth][rows of a tile].
void pack_a(const GemmKernel& kernel, const GemmOperand& a, size_t row, size_t rows, size_t from, size_t depth, float* out) {
  const size_t whole = rows / kernel.rows, rest = rows % kernel.rows;
  const float* source = a.data + row + from * a.column;
  kernel.copy_rows(source, a.column, depth, whole, out);
  source += whole * kernel.rows, out += whole * depth * kernel.rows;
  for (size_t d = 0; d < depth; d++) std::copy_n(source + d * a.column, rest, out + d * kernel.rows);
}

// C's rows [row, row + rows), all columns, from packed B.
void multiply_rows(const GemmKernel& kernel, const Gemm& p, size_t row, size_t rows, size_t from, size_t depth, GemmRoom& room) {
  const bool packed = p.a.column != 1, add = p.add || from > 0;
  if (packed) pack_a(kernel, p.a, row, rows, from, depth, room.a.data());
  for (size_t j = 0; j < p.n; j += kernel.columns) {
    const float* b = room.b.data() + j * depth;
    const size_t columns = std::min(kernel.columns, p.n - j);
    for (size_t i = 0; i < rows; i += kernel.rows) {
      const size_t count = std::min(kernel.rows, rows - i);
      const GemmKernel::Tile tile = (packed ? kernel.packed : kernel.in_rows)[count - 1];
      const float* a = packed ? room.a.data() + i * depth : p.a.data + (row + i) * p.a.row + from;
      float* c = p.c + (row + i) * p.c_row + j;
      if (columns == kernel.columns) {
        tile(a, p.a.row, b, depth, c, p.c_row, add);
        continue;
      }
      float rest[GemmKernel::most_rows * 32];
      tile(a, p.a.row, b, depth, rest, kernel.columns, false);
      for (size_t r = 0; r < count; r++)
        for (size_t k = 0; k < columns; k++) c[r * p.c_row + k] = add ? c[r * p.c_row + k] + rest[r * kernel.columns + k] : rest[r * kernel.columns + k];
    }
  }
}

// A part of C for one thread.
Gemm part(const Gemm& p, size_t row, size_t rows, size_t column, size_t columns) {
  Gemm out = p;
  out.a.data += row * p.a.row, out.b.data += column * p.b.column, out.c += row * p.c_row + column;
  out.m = std::min(rows, p.m - row), out.n = std::min(columns, p.n - column);
  return out;
}

// The length of equal pieces of `count`, none longer than `most`, all but the last whole tiles.
size_t piece(size_t count, size_t most, size_t tile) {
  const size_t pieces = std::max<size_t>(1, (count + most - 1) / most);
  return std::max<size_t>(1, ((count + pieces - 1) / pieces + tile - 1) / tile * tile);
}

}  // namespace

void gemm_alone(const Gemm& p, GemmRoom& room) {
  assert(p.a.row == 1 || p.a.column == 1);
  assert(p.b.row == 1 || p.b.column == 1);
  const GemmKernel& tiles = kernel();
  if (p.k == 0 && !p.add)
    for (size_t i = 0; i < p.m; i++) std::fill_n(p.c + i * p.c_row, p.n, 0.0f);
  const size_t deepest = std::min(p.k, depth_block);
  grow(room.b, (p.n + tiles.columns - 1) / tiles.columns * tiles.columns * deepest);
  if (p.a.column != 1) grow(room.a, (row_block + tiles.rows) * deepest);
  for (size_t from = 0; from < p.k; from += depth_block) {
    const size_t depth = std::min(depth_block, p.k - from);
    pack_b(tiles, p.b, from, depth, p.n, room.b.data());
    for (size_t row = 0; row < p.m; row += row_block) multiply_rows(tiles, p, row, std::min(row_block, p.m - row), from, depth, room);
  }
}

void gemm(std::span<const Gemm> products, std::vector<GemmRoom>& rooms, Workers& workers) {
  if (rooms.size() < workers.size()) rooms.resize(workers.size());
  // Large parts pack an operand less often, many parts leave no thread waiting for the last one.
  const GemmKernel& tiles = kernel();
  size_t most_rows = task_rows, most_columns = task_columns;
  std::vector<Gemm> work;
  const auto cut = [&] {
    work.clear();
    for (const Gemm& p : products) {
      const size_t rows = piece(p.m, most_rows, tiles.rows), columns = piece(p.n, most_columns, tiles.columns);
      for (size_t column = 0; column < p.n; column += columns)
        for (size_t row = 0; row < p.m; row += rows) work.push_back(part(p, row, rows, column, columns));
    }
    return workers.size() == 1 || work.size() >= 16 * workers.size();
  };
  if (!cut()) {
    most_columns /= 2;
    if (!cut()) most_rows /= 2, cut();
  }
  workers.run(work.size(), 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; i++) gemm_alone(work[i], rooms[worker]);
  });
}

}  // namespace moiety
