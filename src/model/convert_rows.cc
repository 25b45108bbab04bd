#include "model/convert_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/codec.h"
#include "model/rope.h"

namespace moiety {
namespace {

constexpr size_t numbers_at_once = 1 << 16;  // of a worker, between two looks at Ctrl-C

void adjust_row(std::vector<float>& row, Adjust from, Adjust to) {
  if (from == to) return;
  for (float& v : row) {
    if (from == Adjust::plus_one) v += 1;
    if (from == Adjust::minus_exp) v = -std::exp(v);
    if (from == Adjust::negated || to == Adjust::negated) v = -v;
    if (to == Adjust::plus_one) v -= 1;
    if (to == Adjust::minus_exp) v = std::log(-v);
  }
}

std::byte* place(const StoredMatrix& view, size_t r) { return const_cast<std::byte*>(view.data) + view.row_offset(r); }

bool copy_bytes(const StoredMatrix& source, size_t from_row, const StoredMatrix& view, size_t to_row) {
  if (source.type != view.type || !source.contiguous_rows || !view.contiguous_rows) return false;
  std::memcpy(place(view, to_row), source.data + source.row_offset(from_row), bytes_of(source.type, source.cols));
  return true;
}

void read_row(const StoredMatrix& source, size_t r, std::vector<float>& row) {
  const std::byte* in = source.data + source.row_offset(r);
  row.resize(source.cols);
  if (source.contiguous_rows) return decode(source.type, in, row);
  for (size_t c = 0; c < source.cols; c++) decode(source.type, in + c * source.column_bytes, {&row[c], 1});
}

}  // namespace

RowWriter::RowWriter(Checkpoint& in, const Config& config, const ConvertOptions& options, bool interleaved)
    : in_(in), c_(config), o_(options), interleaved_(interleaved), workers_(options.threads ? options.threads : default_thread_count()),
      rows_(workers_.size()) {
  in_.keep_only_last_decoded();
}

void RowWriter::fill(const Target& target, std::span<std::byte> out) {
  for (const Piece& piece : target.pieces) {
    const CanonicalTensor& t = piece.tensor;
    for (size_t i = target.begin(); i < target.end(t); i++) {
      const ConvertOptions::Origin from = o_.origin ? o_.origin(t, i) : ConvertOptions::Origin{t.name, i, t.count};
      Matrix m = {t, i, stored_view(piece.name, c_, target.type, out.data(), target.one_each ? 0 : i, t.rows, t.cols), {}, Adjust::none, piece.name.adjust, false, {}};
      if (!from.name.empty()) {
        m.source = in_.find(from.name, t.block, from.i, from.count, t.rows, t.cols);
        m.stored = in_.adjust(from.name, t.block);
        m.edits = o_.edit_row && o_.edit_row(t, i, 0, {});
      }
      if (o_.importance && type_info(target.type).block > 1) m.importance = o_.importance->find(target.name, i, t.count, t.cols);
      fill_matrix(target, m);
    }
  }
}

void RowWriter::fill_matrix(const Target& target, const Matrix& m) {
  const CanonicalTensor& t = m.tensor;
  workers_.run(t.rows, std::max<size_t>(1, numbers_at_once / t.cols), [&](size_t begin, size_t end, size_t worker) {
    throw_if_interrupted();
    std::vector<float>& row = rows_[worker];
    for (size_t r = begin; r < end; r++) {
      if (!m.source) {
        row.assign(t.cols, 0.0f);
        o_.make_row(t, m.i, r, row);
      } else {
        if (!m.edits && m.stored == m.wanted && copy_bytes(*m.source, source_row(t, r), m.out, r)) continue;
        read_row(*m.source, source_row(t, r), row);
        adjust_row(row, m.stored, m.edits ? Adjust::none : m.wanted);
        if (m.edits) {
          o_.edit_row(t, m.i, source_row(t, r), row);
          adjust_row(row, Adjust::none, m.wanted);
        }
      }
      put_row(target, m, r, row);
    }
    if (o_.progress) o_.progress(done_bytes_ += bytes_of(m.out.type, (end - begin) * t.cols), total_bytes);
  });
}

void RowWriter::put_row(const Target& target, const Matrix& m, size_t r, std::vector<float>& row) const {
  const TensorType type = m.out.type;
  float most = 0;
  bool finite = true;
  for (float v : row) finite = finite && std::isfinite(v), most = std::max(most, std::abs(v));
  if (!finite && (type != TensorType::f32 || m.edits))
    throw Error("{}: tensor {} holds NaN or infinity in row {}; such weights are broken and are not written", in_.path().string(), target.name, r);
  if (type == TensorType::f16 && most > 65504)
    throw Error("{}: tensor {} holds {}, more than F16 can say; take --type bf16 or f32", in_.path().string(), target.name, most);
  std::byte* out = place(m.out, r);
  if (m.out.contiguous_rows) return encode_row(type, row, m.importance, out);
  for (size_t c = 0; c < m.out.cols; c++) encode_row(type, {&row[c], 1}, {}, out + c * m.out.column_bytes);
}

// Which canonical row of the source stands at row r of the target: q and k differ where the formats rotate other pairs.
size_t RowWriter::source_row(const CanonicalTensor& t, size_t r) const {
  return c_.ropes.empty() || c_.ropes[0].interleaved == interleaved_ ? r : other_order_row(c_, t.name, r, interleaved_);
}

}  // namespace moiety
