#include "kernels/gemm.h"

#include <algorithm>
#include <cassert>
#include <functional>

#include "kernels/gemm_kernel.h"
#include "kernels/isa.h"

namespace moiety {
namespace {

constexpr size_t depth_block = 256;   // words of k that a tile sums in registers before it meets C
constexpr size_t row_block = 96;      // rows of A that meet a panel of B while it lies in the first cache
constexpr size_t task_rows = 1056, task_words = 65536;  // the most that one thread takes at a time: rows of C, and words of B that it packs

const GemmKernel& kernel(Precision precision) {
  const bool rounded = precision == Precision::bf16;
  switch (current_isa()) {
    case Isa::amx: return rounded ? gemm_kernel_amx : gemm_kernel_avx512;
    case Isa::avx512bf16: return rounded ? gemm_kernel_avx512bf16 : gemm_kernel_avx512;
    case Isa::avx512vnni:
    case Isa::avx512: return rounded ? gemm_rounded_kernel_avx512 : gemm_kernel_avx512;
    case Isa::avxvnni:
    case Isa::avx2: return rounded ? gemm_rounded_kernel_avx2 : gemm_kernel_avx2;
    case Isa::portable: break;
  }
  return rounded ? gemm_rounded_kernel_portable : gemm_kernel_portable;
}

// Numbers [from, from + count) of k.
struct Depth {
  size_t from, count, words;
};

// The last columns of B, or rows of A, that fill no tile: a tile of their numbers, [depth][n], with zeros for what is missing.
struct Rest {
  float numbers[depth_block * 2 * GemmKernel::most_columns];

  Rest(const float* x, size_t step, size_t next, size_t depth, size_t count, size_t n) {
    for (size_t d = 0; d < depth; d++, x += step) {
      for (size_t j = 0; j < count; j++) numbers[d * n + j] = x[j * next];
      std::fill(numbers + d * n + count, numbers + (d + 1) * n, 0.0f);
    }
  }
};

// B's rows as panels of a tile's columns: [panel][words][columns], zeros beyond the last column.
void pack_b(const GemmKernel& kernel, const GemmOperand& b, const Depth& depth, size_t n, float* out) {
  const size_t columns = kernel.columns, whole = n / columns, rest = n % columns;
  const float* source = b.data + depth.from * b.row;
  if (b.column == 1) kernel.copy_columns(source, b.row, depth.count, whole, out);
  else for (size_t t = 0; t < whole; t++) kernel.transpose(source + t * columns * b.column, b.column, depth.count, out + t * depth.words * columns);
  if (rest == 0) return;
  const Rest last(source + whole * columns * b.column, b.row, b.column, depth.count, rest, columns);
  kernel.copy_columns(last.numbers, columns, depth.count, 1, out + whole * depth.words * columns);
}

// A's columns, whose rows are neighbours in memory, as [tile][words][rows of a tile].
void pack_a(const GemmKernel& kernel, const GemmOperand& a, size_t row, size_t rows, const Depth& depth, float* out) {
  const size_t whole = rows / kernel.rows, rest = rows % kernel.rows;
  const float* source = a.data + row + depth.from * a.column;
  kernel.copy_rows(source, a.column, depth.count, whole, out);
  if (rest == 0) return;
  const Rest last(source + whole * kernel.rows, a.column, 1, depth.count, rest, kernel.rows);
  kernel.copy_rows(last.numbers, kernel.rows, depth.count, 1, out + whole * depth.words * kernel.rows);
}

// Rows of A as tiles read them: at `data`, `row` words apart; in the packed form one tile after another.
struct TileRows {
  bool packed;
  const float* data;
  size_t row;
};

TileRows rows_of_a(const GemmKernel& kernel, const GemmOperand& a, size_t row, size_t rows, const Depth& depth, float* out) {
  if (a.column != 1) {
    pack_a(kernel, a, row, rows, depth, out);
    return {true, out, depth.words};
  }
  const float* source = a.data + row * a.row + depth.from;
  if (!kernel.copy_in_rows) return {false, source, a.row};
  kernel.copy_in_rows(source, a.row, depth.count, rows, out);
  return {false, out, depth.words};
}

// C's rows [row, row + rows), all columns, from packed B.
void multiply_rows(const GemmKernel& kernel, const Gemm& p, size_t row, size_t rows, const Depth& depth, GemmRoom& room) {
  const bool add = p.add || depth.from > 0;
  const TileRows a = rows_of_a(kernel, p.a, row, rows, depth, room.a.data());
  for (size_t j = 0; j < p.n; j += kernel.columns) {
    const float* b = room.b.data() + j * depth.words;
    const size_t columns = std::min(kernel.columns, p.n - j);
    for (size_t i = 0; i < rows; i += kernel.rows) {
      const size_t count = std::min(kernel.rows, rows - i);
      const GemmKernel::Tile tile = (a.packed ? kernel.packed : kernel.in_rows)[count - 1];
      float* c = p.c + (row + i) * p.c_row + j;
      if (columns == kernel.columns) {
        tile(a.data + i * a.row, a.row, b, depth.words, c, p.c_row, add);
        continue;
      }
      float rest[GemmKernel::most_rows * GemmKernel::most_columns];
      tile(a.data + i * a.row, a.row, b, depth.words, rest, kernel.columns, false);
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

struct Extent {
  size_t rows, columns;
};

// Of the parts that one thread takes at a time: the fewer there are, the less often an operand is packed. Each halving doubles their number,
// along the side whose operand then costs less to pack again.
Extent part_extent(const Gemm& p, size_t halvings) {
  const GemmKernel& tiles = kernel(p.precision);
  const size_t words = std::clamp<size_t>((p.k + tiles.numbers - 1) / tiles.numbers, 1, depth_block);
  const bool packs_a = p.a.column != 1 || tiles.copy_in_rows;
  Extent out{piece(p.m, task_rows, tiles.rows), piece(p.n, task_words / words, tiles.columns)};
  for (; halvings; halvings--)
    if (packs_a && out.rows > out.columns) out.rows = piece(out.rows, (out.rows + 1) / 2, tiles.rows);
    else out.columns = piece(out.columns, (out.columns + 1) / 2, tiles.columns);
  return out;
}

// f(part of p) for all parts.
template <class Function>
void each_part(const Gemm& p, size_t halvings, Function f) {
  const Extent extent = part_extent(p, halvings);
  for (size_t column = 0; column < p.n; column += extent.columns)
    for (size_t row = 0; row < p.m; row += extent.rows) f(part(p, row, extent.rows, column, extent.columns));
}

void multiply_part(const Gemm& p, GemmRoom& room) {
  assert(p.a.row == 1 || p.a.column == 1);
  assert(p.b.row == 1 || p.b.column == 1);
  const GemmKernel& tiles = kernel(p.precision);
  if (p.k == 0 && !p.add)
    for (size_t i = 0; i < p.m; i++) std::fill_n(p.c + i * p.c_row, p.n, 0.0f);
  const auto words = [&](size_t numbers) { return (numbers + tiles.numbers - 1) / tiles.numbers; };
  const size_t deepest = std::min(words(p.k), depth_block), block = depth_block * tiles.numbers;
  at_least(room.b, (p.n + tiles.columns - 1) / tiles.columns * tiles.columns * deepest);
  if (p.a.column != 1 || tiles.copy_in_rows) at_least(room.a, (row_block + tiles.rows) * deepest);
  for (size_t from = 0; from < p.k; from += block) {
    const size_t count = std::min(block, p.k - from);
    const Depth depth{from, count, words(count)};
    pack_b(tiles, p.b, depth, p.n, room.b.data());
    for (size_t row = 0; row < p.m; row += row_block) multiply_rows(tiles, p, row, std::min(row_block, p.m - row), depth, room);
  }
}

}  // namespace

void gemm_alone(const Gemm& p, GemmRoom& room) {
  each_part(p, 0, [&](const Gemm& some) { multiply_part(some, room); });
}

void gemm(std::span<const Gemm> products, std::vector<GemmRoom>& rooms, Workers& workers) {
  if (rooms.size() < workers.size()) rooms.resize(workers.size());
  // Enough parts, and the largest ones first, so that no thread waits long for the last one.
  std::vector<Gemm> work;
  for (size_t halvings = 0; halvings < 3; halvings++) {
    work.clear();
    for (const Gemm& p : products) each_part(p, halvings, [&](const Gemm& some) { work.push_back(some); });
    if (workers.size() == 1 || work.size() >= 8 * workers.size()) break;
  }
  std::ranges::stable_sort(work, std::greater(), [](const Gemm& p) { return p.m * p.n * p.k; });
  workers.run(work.size(), 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; i++) multiply_part(work[i], rooms[worker]);
  });
}

}  // namespace moiety
