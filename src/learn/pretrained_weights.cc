// Between the arena and the tensors of a checkpoint.
#include <unordered_map>

#include "base/error.h"
#include "formats/codec.h"
#include "learn/pieces.h"
#include "learn/pretrained.h"
#include "model/convert.h"
#include "model/load.h"
#include "model/rope.h"
#include "text/tokenizer_export.h"

namespace moiety {
namespace {

// Where the numbers of canonical tensors lie, by their names with blocks.
struct Place {
  float* first;
  size_t apart;  // from one expert to the next
  size_t rows, cols;
  size_t elements, filled = 0;

  float* row(size_t element, size_t r) const { return first + element * apart + r * cols; }
};
using Places = std::unordered_map<std::string, Place>;

Places places_of(Arena& arena, const Buffers& buffers) {
  Places out;
  for (const Parameter& p : arena.parameters()) {
    for (const ParameterPiece& piece : pieces_of(p)) {
      float* first = arena.values() + p.at + piece.first;
      const bool vector = piece.shape.size() == 1, vectors = !vector && is_stack(p) && piece.experts == 0;
      const Place place = vectors ? Place{first, piece.shape[1], piece.shape[1], 1, piece.shape[0]}
                                  : Place{first, piece.apart, piece.shape[0], vector ? 1 : piece.shape[1], std::max<size_t>(piece.experts, 1)};
      out.emplace(block_of(p) + piece.canonical, place);
    }
  }
  for (const auto& [name, numbers] : buffers) out.emplace(name, Place{numbers.data(), 0, numbers.size(), 1, 1});
  return out;
}

// Whose rows belong to heads that are rotated, as the trainer rotates them: pairs (i, i + half).
bool has_head_rows(const std::string& name) {
  return std::ranges::any_of(std::initializer_list<const char*>{".attn_q.", ".attn_k.", ".attn_q_norm.", ".attn_k_norm."}, [&](const char* part) { return name.find(part) != std::string::npos; });
}

}  // namespace

void Pretrained::read(Arena& arena, const Buffers& buffers, const OnProgress& progress) const {
  const Config& c = file_->config();
  Places places = places_of(arena, buffers);
  const auto visit = [&](const LoadedTensor& t) {
    if (c.tied_output && t.name == "output.weight") return;  // the embedding once more
    const auto at = places.find(t.name);
    if (at == places.end() || at->second.rows != t.matrix.rows || at->second.cols != t.matrix.cols || t.element >= at->second.elements)
      throw Error("{}: tensor {} has no place in the model that is trained", path().string(), t.name);
    const bool other_order = c.ropes[0].interleaved && has_head_rows(t.name);  // in families whose blocks are alike
    for (size_t r = 0; r < t.matrix.rows; r++) {
      const size_t in_head = r % c.key_size, from = other_order ? r - in_head + other_pair_order(in_head, c.key_size / 2, false) : r;
      decode(t.matrix.type, t.matrix.row(from), {at->second.row(t.element, r), t.matrix.cols});
    }
    at->second.filled++;
  };
  load_model(path(), {.check = true, .progress = progress, .visit = visit});
  for (const Parameter& p : arena.parameters())
    for (const ParameterPiece& piece : pieces_of(p)) {
      const std::string name = block_of(p) + piece.canonical;
      if (const Place& place = places.at(name); place.filled != place.elements) throw Error("{}: tensor {} is missing", path().string(), name);
    }
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
    if (at == places.end()) return false;
    std::copy_n(at->second.row(i, row), numbers.size(), numbers.begin());
    return true;
  };
  convert(*file_, directory, o);
}

void Pretrained::copy_tokenizer(const std::filesystem::path& directory) const {
  if (file_->is_gguf()) write_tokenizer(file_->gguf()->metadata(), directory);
  else copy_companions(path(), directory);
}

}  // namespace moiety
