// Numbers of a pretrained model: into what is trained, and back.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "formats/codec.h"
#include "learn/places.h"
#include "learn/pretrained.h"
#include "model/convert.h"
#include "model/load.h"
#include "model/rope.h"
#include "text/tokenizer_export.h"

namespace moiety {
namespace {

// The trainer rotates pairs (i, i + half); a row stands elsewhere where the file's model rotates neighbours.
size_t other_row(const Config& c, std::string_view tensor, size_t row, bool in_file) {
  return c.ropes[0].interleaved ? other_order_row(c, tensor, row, in_file) : row;
}

}  // namespace

void Pretrained::read(Arena& arena, const Buffers& buffers, const OnProgress& progress) const {
  const Config& c = file_->config();
  const Places places = places_of(arena, buffers);
  std::map<std::string, size_t> filled;
  const auto visit = [&](const LoadedTensor& t) {
    if (c.tied_output && t.name == "output.weight") return;  // the embedding once more
    const auto at = places.find(t.name);
    if (at == places.end() || at->second.rows != t.matrix.rows || at->second.cols != t.matrix.cols || t.element >= at->second.count)
      throw Error("{}: tensor {} has no place in the model that is trained", path().string(), t.name);
    const std::string_view name = std::string_view(t.name).substr(t.name.starts_with("blk.") ? t.name.find('.', 4) + 1 : 0);
    std::vector<float> numbers(t.matrix.cols);
    for (size_t r = 0; r < t.matrix.rows; r++) {
      decode(t.matrix.type, t.matrix.row(other_row(c, name, r, false)), numbers);
      at->second.write(t.element, r, numbers);
    }
    filled[t.name]++;
  };
  load_model(path(), {.check = true, .progress = progress, .visit = visit});
  for (const Parameter& p : arena.parameters())
    for (const ParameterPiece& piece : pieces_of(p))
      if (const std::string name = block_of(p) + piece.canonical; filled[name] != piece.count) throw Error("{}: tensor {} is missing", path().string(), name);
}

void Pretrained::write(Arena& arena, const Buffers& buffers, const std::filesystem::path& directory, size_t threads,
                       const std::function<void(const std::filesystem::path&)>& add_companions) const {
  const Places places = places_of(arena, buffers);
  ConvertOptions o;
  o.to_hf = true;
  o.type = read_type("f32", true);
  o.threads = threads;
  o.add_companions = add_companions;
  o.edit_row = [&](const CanonicalTensor& t, size_t i, size_t row, std::span<float> numbers) {
    const auto at = places.find(canonical_name(t.name, t.block));
    if (at == places.end() || at->second.frozen) return false;
    if (!numbers.empty()) at->second.read(i, other_row(file_->config(), t.name, row, true), numbers);
    return true;
  };
  convert(*file_, directory, o);
}

void Pretrained::copy_tokenizer(const std::filesystem::path& directory) const {
  if (file_->is_gguf()) write_tokenizer(file_->gguf()->metadata(), directory);
  else copy_companions(path(), directory);
}

}  // namespace moiety
