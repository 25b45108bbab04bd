#include "model/checkpoint.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/codec.h"
#include "formats/scaled.h"
#include "model/config_gguf.h"
#include "model/config_hf.h"
#include "model/family.h"
#include "model/stored.h"

namespace moiety {
namespace {

std::string filled(std::string pattern, uint32_t layer, uint32_t part, size_t block, size_t expert) {
  auto replace = [&](const char* key, uint64_t value) {
    for (size_t at; (at = pattern.find(key)) != std::string::npos;) pattern.replace(at, 3, std::to_string(value));
  };
  replace("{l}", layer);
  replace("{p}", part);
  replace("{b}", block);
  replace("{e}", expert);
  return pattern;
}

// What real checkpoints carry besides the language model, and why it is left out.
const char* known_extra(const std::string& name, const Config& config) {
  auto has = [&](const char* piece) { return name.find(piece) != std::string::npos; };
  if (has("rotary_emb.inv_freq") || has("rope_freqs") || has("rope_factors")) return "rope frequencies (computed)";
  if (has("vision_tower") || has("vision_model") || has("visual.") || has("multi_modal_projector") || has("vision_encoder") ||
      has("mm_projector") || has("embed_vision"))
    return "vision tower";
  if (has("audio_tower")) return "audio tower";
  if (name.starts_with("mtp.") || has(".mtp.") || has("nextn") || has("mtp_")) return "multi-token prediction layers";
  uint32_t layers = 0;
  for (const BlockConfig& block : config.blocks) layers = std::max(layers, block.layer + 1);
  for (const char* prefix : {"layers.", "blk."})
    if (const size_t at = name.find(prefix); at != std::string::npos && std::isdigit(static_cast<unsigned char>(name[at + std::strlen(prefix)])))
      if (std::strtoul(name.c_str() + at + std::strlen(prefix), nullptr, 10) >= layers) return "multi-token prediction layers";
  return nullptr;
}

// How many rows and columns share a scale in FP8 checkpoints.
std::pair<uint64_t, uint64_t> scale_block(const nlohmann::json& whole, const std::string& origin) {
  const bool nested = !whole.contains("quantization_config") && whole.contains("text_config") && whole["text_config"].is_object();
  const nlohmann::json& config = nested ? whole["text_config"] : whole;
  if (!config.contains("quantization_config") || !config["quantization_config"].contains("weight_block_size")) return {128, 128};
  const nlohmann::json& size = config["quantization_config"]["weight_block_size"];
  if (!size.is_array() || size.size() != 2 || !size[0].is_number_unsigned() || !size[1].is_number_unsigned())
    throw Error("{}: weight_block_size is not a pair of counts", origin);
  return {size[0].get<uint64_t>(), size[1].get<uint64_t>()};
}

std::string shape_text(const std::vector<uint64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace

std::string Checkpoint::name() const {
  if (is_gguf())
    if (const auto name = gguf_->metadata().string("general.name")) return *name;
  std::filesystem::path path = std::filesystem::absolute(path_).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "mixtral/"
  if (is_gguf()) return path.stem().string();
  if (path.filename() == "model") path = path.parent_path();  // of a run: RUN/model
  return path.filename().string();
}

Checkpoint Checkpoint::open(const std::filesystem::path& path) {
  Checkpoint out;
  out.path_ = path;
  std::vector<TensorName> names;
  if (!std::filesystem::exists(path)) throw Error("{}: there is no such file or directory", path.string());
  if (std::filesystem::is_directory(path)) {
    out.hf_ = std::make_shared<HfDirectory>(HfDirectory::open(path));
    out.config_ = read_hf_config(out.hf_->config(), out.hf_->generation_config(), (path / "config.json").string());
    names = hf_names(out.config_);
  } else {
    out.gguf_ = std::make_shared<GgufFile>(GgufFile::open(path));
    out.config_ = read_gguf_config(*out.gguf_);
    out.packed_ = PackedIndex::read(*out.gguf_);
    if (!out.packed_) names = gguf_names(out.config_);
    else {
      out.gguf_->want_huge_pages();
      for (Rope& rope : out.config_.ropes) rope.interleaved = out.packed_->rope_interleaved();
    }
  }
  for (TensorName& name : names) out.names_[name.canonical].push_back(std::move(name));
  for (const Tensor& tensor : out.tensors()) out.by_name_.emplace(tensor.name, &tensor);
  return out;
}

const Tensor& Checkpoint::keep(const std::string& name, const Tensor& like, TensorType type, std::shared_ptr<std::vector<std::byte>> bytes) {
  auto tensor = std::make_shared<Tensor>(like);
  if (only_last_decoded_) decoded_.clear(), decoded_bytes_.clear();
  tensor->type = type;
  tensor->bytes = *bytes;
  decoded_bytes_.push_back(bytes);
  return *(decoded_[name] = tensor);
}

uint64_t Checkpoint::Located::count() const {
  uint64_t n = 1;
  for (uint64_t extent : shape) n *= extent;
  return n;
}

// A tensor under its name, or under those that multimodal checkpoints give it.
std::optional<Checkpoint::Located> Checkpoint::locate(const std::string& name) {
  std::vector<std::string> spellings = {name, "language_model." + name};
  if (name.starts_with("model.")) spellings.push_back("model.language_model." + name.substr(6));
  for (const std::string& spelling : spellings) {
    const auto found = by_name_.find(spelling);
    if (found == by_name_.end()) continue;
    const Tensor& tensor = *found->second;
    claimed_.insert(spelling);
    Located out = {spelling, tensor.type, tensor.shape};
    if (hf_ && spelling.ends_with("_blocks") && tensor.type == TensorType::u8) {
      const std::string scales = spelling.substr(0, spelling.size() - 6) + "scales";
      if (tensor.shape.size() < 2) throw Error("{}: tensor {} has shape {}; blocks of MXFP4 are [.., blocks, 16]", path_.string(), spelling, shape_text(tensor.shape));
      if (!by_name_.contains(scales)) throw Error("{}: tensor {} has no scales beside it", path_.string(), spelling);
      claimed_.insert(scales);
      out.type = TensorType::mxfp4;
      out.shape.pop_back();
      out.shape.back() *= 32;
    } else if (const auto scales = by_name_.find(spelling + "_scale_inv"); hf_ && scales != by_name_.end()) {
      claimed_.insert(scales->first);
      out.type = TensorType::f32;
    } else if (tensor.type == TensorType::f8_e4m3 || tensor.type == TensorType::f8_e5m2) {
      throw Error("{}: tensor {} is {} and has no {}_scale_inv beside it; what scales it is not known", path_.string(), spelling,
                  type_info(tensor.type).name, spelling);
    }
    return out;
  }
  return {};
}

// The tensor itself; what is stored in pieces is joined on first use.
const Tensor& Checkpoint::joined(const Located& located) {
  if (auto it = decoded_.find(located.spelling); it != decoded_.end()) return *it->second;
  const Tensor& tensor = *by_name_.at(located.spelling);
  if (located.type == TensorType::mxfp4 && tensor.type == TensorType::u8) {
    Tensor like = tensor;
    like.shape = located.shape;
    const Tensor& scales = *by_name_.at(located.spelling.substr(0, located.spelling.size() - 6) + "scales");
    return keep(located.spelling, like, TensorType::mxfp4, std::make_shared<std::vector<std::byte>>(join_mxfp4(tensor, scales)));
  }
  if (const auto scales = by_name_.find(located.spelling + "_scale_inv"); hf_ && scales != by_name_.end()) {
    auto [block_rows, block_cols] = scale_block(hf_->config(), path_.string());
    if (scales->second->count() == 1 && tensor.shape.size() == 2) block_rows = tensor.shape[0], block_cols = tensor.shape[1];  // one for all
    const std::vector<float> numbers = decode_block_scaled(tensor, *scales->second, block_rows, block_cols);
    const auto bytes = std::as_bytes(std::span(numbers));
    return keep(located.spelling, tensor, TensorType::f32, std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end()));
  }
  return tensor;
}

const TensorName* Checkpoint::row_of(const std::string& name, int block, size_t expert, std::string& stored) {
  if (packed_) throw UsageError("{}: is a packed file, whose weights are in the kernels' order; give the model that it was packed from", path_.string());
  const auto rows = names_.find(name);
  if (rows == names_.end()) return nullptr;
  const BlockConfig* config = block >= 0 ? &config_.blocks.at(static_cast<size_t>(block)) : nullptr;
  for (const TensorName& row : rows->second) {
    stored = filled(row.stored, config ? config->layer : 0, config ? config->part : 0, static_cast<size_t>(std::max(block, 0)), expert);
    if (locate(stored)) return &row;
  }
  return nullptr;
}

bool Checkpoint::mapped(const std::byte* data) const {
  return std::ranges::any_of(tensors(), [data](const Tensor& t) { return data >= t.bytes.data() && data < t.bytes.data() + t.bytes.size(); });
}

Adjust Checkpoint::adjust(const std::string& name, int block) {
  std::string stored;
  const TensorName* row = row_of(name, block, 0, stored);
  return row ? row->adjust : Adjust::none;
}

// Checks that a stored tensor has room for `count` matrices of [rows, cols] that can be cut out of it.
std::optional<Checkpoint::Located> Checkpoint::locate_matrix(const TensorName& row, const std::string& name, size_t count, size_t rows, size_t cols) {
  auto stored = locate(name);
  const size_t stack = row.stored.find("{e}") != std::string::npos ? 1 : count;
  const StoredShape shape = stored_shape(row, config_, rows, cols);
  if (stored->count() != stack * shape.lines * shape.line_length)
    throw Error("{}: tensor {} has shape {}, but {} x {} x {} numbers are expected by the configuration", path_.string(), stored->spelling,
                shape_text(stored->shape), stack, shape.lines, shape.line_length);
  if (const uint32_t numbers = type_info(stored->type).block; numbers > 1 && row.transposed) stored->type = TensorType::f32;
  else if (shape.line_length % numbers != 0)
    throw Error("{}: tensor {} of type {} cannot be cut as this model needs it", path_.string(), stored->spelling, type_info(stored->type).name);
  return stored;
}

std::optional<TensorType> Checkpoint::type_of(const std::string& name, int block, size_t i, size_t count, size_t rows, size_t cols) {
  std::string stored;
  const TensorName* row = row_of(name, block, i, stored);
  if (!row) return {};
  return locate_matrix(*row, stored, count, rows, cols)->type;
}

std::optional<StoredMatrix> Checkpoint::find(const std::string& name, int block, size_t i, size_t count, size_t rows, size_t cols) {
  std::string stored_name;
  const TensorName* row = row_of(name, block, i, stored_name);
  if (!row) return {};
  const TensorType type = locate_matrix(*row, stored_name, count, rows, cols)->type;
  const Tensor* stored = &joined(*locate(stored_name));
  if (stored->type != type) {  // transposed blocks
    auto bytes = std::make_shared<std::vector<std::byte>>(stored->count() * sizeof(float));
    decode(stored->type, stored->bytes.data(), {reinterpret_cast<float*>(bytes->data()), stored->count()});
    stored = &keep(stored->name, *stored, type, bytes);
  }
  const bool one_each = row->stored.find("{e}") != std::string::npos;
  return stored_view(*row, config_, type, stored->bytes.data(), one_each ? 0 : i, rows, cols);
}

std::vector<std::string> Checkpoint::unclaimed() const {
  std::vector<std::string> notes;
  if (packed_) return packed_->check_all_found(), notes;  // what of its source was skipped was named then
  std::unordered_map<std::string, size_t> skipped;
  for (const Tensor& tensor : tensors()) {
    if (claimed_.contains(tensor.name) || tensor.count() == 0) continue;  // no shared experts: matrices without rows
    if (gguf_ && tensor.name == "output.weight" && config_.tied_output) continue;  // the embedding once more, for llama.cpp
    if (const char* kind = known_extra(tensor.name, config_)) skipped[kind]++;
    else if (tensor.name == "lm_head.weight" && config_.tied_output) skipped["a second copy of the tied output head"]++;
    else
      throw Error("{}: tensor {} is not known in family {}; the file is of a variant that moiety does not compute", path_.string(),
                  tensor.name, config_.family->name);
  }
  for (const auto& [kind, count] : skipped) notes.push_back(fmt::format("skipped: {} ({} tensors)", kind, count));
  std::ranges::sort(notes);
  return notes;
}

std::vector<std::shared_ptr<void>> Checkpoint::storage() const {
  std::vector<std::shared_ptr<void>> out = decoded_bytes_;
  if (gguf_) out.push_back(gguf_);
  if (hf_) out.push_back(hf_);
  return out;
}

}  // namespace moiety
