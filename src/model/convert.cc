#include "model/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "formats/codec.h"
#include "formats/safetensors.h"
#include "model/config_gguf.h"
#include "model/config_hf.h"
#include "model/family.h"
#include "model/load.h"
#include "model/rope.h"

namespace moiety {
namespace {

struct Piece {  // a canonical tensor inside a stored one
  CanonicalTensor tensor;
  TensorName name;
};

struct Target {  // a tensor of the new file
  std::string name;
  TensorType type;
  std::vector<uint64_t> shape;
  std::vector<Piece> pieces;
  size_t element = 0;  // of {e} names: the only one of the stack that stands here
  bool one_each = false;
};

std::string filled(std::string pattern, const BlockConfig* b, int block, size_t expert) {
  auto replace = [&](const char* key, uint64_t value) {
    for (size_t at; (at = pattern.find(key)) != std::string::npos;) pattern.replace(at, 3, std::to_string(value));
  };
  replace("{l}", b ? b->layer : 0);
  replace("{p}", b ? b->part : 0);
  replace("{b}", static_cast<uint64_t>(std::max(block, 0)));
  replace("{e}", expert);
  return pattern;
}

class Converter {
 public:
  Converter(Checkpoint& in, const ConvertOptions& options) : in_(in), o_(options), c_(target_config()) {
    for (const TensorName& name : options.to_hf ? hf_names(c_) : gguf_names(c_))
      if (!name.read_only) names_.emplace(name.canonical, name);  // the first row of a name is what a new file gets
    // Rows of q and k stand in another order where the formats rotate other pairs.
    target_interleaved_ = options.to_hf ? read_hf_config(target_json(), nlohmann::json::object(), in_.path().string()).ropes.at(0).interleaved
                                        : c_.family->gguf_interleaved;
  }

  ConvertReport run(const std::filesystem::path& out) {
    plan();
    ConvertReport report;
    report.tensors = targets_.size();
    report.fallbacks = fallbacks_;
    if (o_.to_hf) write_hf(out);
    else write_gguf_file(out);
    return report;
  }

 private:
  nlohmann::json source_json() const { return in_.is_gguf() ? config_json_of(*in_.gguf()) : in_.hf()->config(); }
  nlohmann::json target_json() const { return o_.target_config.is_null() ? source_json() : o_.target_config; }
  Config target_config() const {
    if (o_.target_config.is_null()) return in_.config();
    Config c = read_hf_config(o_.target_config, nlohmann::json::object(), "the new model");
    for (size_t i = 0; i < c.ropes.size() && i < in_.config().ropes.size(); i++) c.ropes[i].interleaved = in_.config().ropes[i].interleaved;
    return c;
  }
  ConvertOptions::Origin origin(const CanonicalTensor& t, size_t i) const {
    return o_.origin ? o_.origin(t, i) : ConvertOptions::Origin{t.name, i, t.count};
  }

  const BlockConfig* block_of(const CanonicalTensor& t) const { return t.block < 0 ? nullptr : &c_.blocks[static_cast<size_t>(t.block)]; }

  void plan() {
    std::map<std::string, size_t> by_name;
    for (const CanonicalTensor& t : canonical_tensors(c_)) {
      const auto row = names_.find(t.name);
      if (row == names_.end()) throw Error("{}: the target format has no place for tensor {}", in_.path().string(), canonical_name(t.name, t.block));
      const bool one_each = row->second.stored.find("{e}") != std::string::npos;
      for (size_t e = 0; e < (one_each ? t.count : 1); e++) {
        const std::string name = filled(row->second.stored, block_of(t), t.block, e);
        const auto [at, is_new] = by_name.emplace(name, targets_.size());
        if (is_new) {
          Target target;
          target.name = name;
          target.element = e;
          target.one_each = one_each;
          targets_.push_back(std::move(target));
        }
        targets_[at->second].pieces.push_back({t, row->second});
      }
    }
    for (Target& target : targets_) shape_and_type(target);
  }

  void shape_and_type(Target& target) {
    const Piece& first = target.pieces[0];
    const CanonicalTensor& t = first.tensor;
    const StoredShape one = stored_shape(first.name, c_, t.rows, t.cols);
    const size_t stack = target.one_each ? 1 : t.count;
    if (t.vector) {
      target.shape = {one.lines};
      if (t.stack && !target.one_each) target.shape = {stack, one.lines};
    } else {
      target.shape = {one.lines, one.line_length};
      const bool joined = first.name.slice == Slice::key_nope || first.name.slice == Slice::head_value;
      if (t.stack && !target.one_each && !joined) target.shape.insert(target.shape.begin(), stack);
      else target.shape[0] *= stack;
    }
    special_shapes(target, stack, one);
    target.type = type_of(target);
  }

  void special_shapes(Target& target, size_t stack, const StoredShape& one) {
    const std::string& canonical = target.pieces[0].tensor.name;
    const bool conv = canonical == "shortconv.conv.weight" || canonical.starts_with("delta_conv");
    if (conv && o_.to_hf) target.shape = {one.lines / c_.conv_length, 1, c_.conv_length};
    if (conv && !o_.to_hf) target.shape = {one.lines / c_.conv_length, c_.conv_length};
    if (conv && !o_.to_hf && canonical.starts_with("delta_conv_")) target.shape.insert(target.shape.begin() + 1, 1);
    if (o_.to_hf && c_.family->name == "dbrx" && target.name.find("experts.mlp") != std::string::npos)
      target.shape = {stack * one.lines, one.line_length};
    if (!o_.to_hf && target.pieces[0].name.adjust == Adjust::negated) target.shape = {one.lines, 1};
    if (o_.to_hf && target.name.find("moe_statics") != std::string::npos) target.shape = {1, one.lines};
    if (!o_.to_hf && canonical == "ffn_gate_inp_shexp.weight") target.shape = {one.line_length};
  }

  TensorType source_type(const Piece& piece, size_t i) {
    const CanonicalTensor& t = piece.tensor;
    const ConvertOptions::Origin from = origin(t, i);
    if (from.name.empty()) return TensorType::f32;
    const auto m = in_.find(from.name, t.block, from.i, from.count, t.rows, t.cols);
    if (!m) throw Error("{}: tensor {} is missing", in_.path().string(), canonical_name(t.name, t.block));
    return m->type;
  }

  TensorType type_of(const Target& target) {
    const Piece& first = target.pieces[0];
    const TensorType stored = source_type(first, target.element);
    const bool scalar = type_info(stored).block == 1;
    if (first.tensor.vector) return o_.to_hf && scalar && o_.type.value_or(stored) == stored ? stored : TensorType::f32;
    const bool expert = first.tensor.name.find("_exps.") != std::string::npos;
    const bool small = first.tensor.name.find("gate_inp") != std::string::npos;  // routers stay exact
    TensorType wanted = expert && o_.expert_type ? *o_.expert_type : o_.type.value_or(stored);
    if (wanted == stored && !can_encode(stored) && o_.edit_row && o_.edit_row(first.tensor, 0, 0, {})) wanted = TensorType::f16;
    if (small) wanted = o_.to_hf && scalar ? stored : TensorType::f32;
    if (o_.to_hf && type_info(wanted).block > 1) wanted = TensorType::bf16;
    if (first.name.transposed && type_info(wanted).block > 1) wanted = TensorType::bf16;
    if (target.shape.back() % type_info(wanted).block != 0) {
      const TensorType instead = target.shape.back() % 32 == 0 && can_encode(TensorType::q8_0) ? TensorType::q8_0 : TensorType::f16;
      fallbacks_.push_back(fmt::format("{}: rows of {} do not divide into {} blocks, so it is {}", target.name, target.shape.back(),
                                       type_info(wanted).name, type_info(instead).name));
      wanted = instead;
    }
    if (wanted != stored && !can_encode(wanted)) throw UsageError("tensors of type {} cannot be written", type_info(wanted).name);
    return wanted;
  }

  // Which canonical row of the source stands at row r of the target, for q and k.
  size_t source_row(const CanonicalTensor& t, size_t r) const {
    if (c_.ropes.empty() || c_.ropes[0].interleaved == target_interleaved_) return r;
    if (c_.kv_rank) return source_latent_row(t, r);
    const bool head_rows = t.name.starts_with("attn_q.") || t.name.starts_with("attn_k.") || t.name.starts_with("attn_q_norm.") ||
                           t.name.starts_with("attn_k_norm.") || t.name == "attn_q_exps.weight";
    if (!head_rows) return r;
    const size_t size = c_.ropes[0].size, half = size / 2, head = r / c_.key_size * c_.key_size, i = r % c_.key_size;
    return i >= size ? r : head + paired(i, half);
  }

  // Latent attention rotates the end of each query, and of the latent rows.
  size_t source_latent_row(const CanonicalTensor& t, size_t r) const {
    const bool query = t.name.starts_with("attn_q_b.") || t.name.starts_with("attn_q."), latent = t.name.starts_with("attn_kv_a_mqa.");
    const size_t plain = query ? c_.key_size - c_.rope_key_size : c_.kv_rank, group = plain + c_.rope_key_size;
    if ((!query && !latent) || r % group < plain) return r;
    return r - r % group + plain + paired(r % group - plain, c_.rope_key_size / 2);
  }

  // Number i of the target's pairs stands there in the source's order.
  size_t paired(size_t i, size_t half) const {
    if (target_interleaved_) return i % 2 == 0 ? i / 2 : half + i / 2;
    return i < half ? 2 * i : 2 * (i - half) + 1;
  }

  // Writes the numbers of one stored tensor.
  void fill(const Target& target, std::span<std::byte> out) {
    throw_if_interrupted();
    for (const Piece& piece : target.pieces) {
      const CanonicalTensor& t = piece.tensor;
      const size_t begin = target.one_each ? target.element : 0, end = target.one_each ? begin + 1 : t.count;
      for (size_t i = begin; i < end; i++) {
        const StoredMatrix view = stored_view(piece.name, c_, target.type, out.data(), target.one_each ? 0 : i, t.rows, t.cols);
        const ConvertOptions::Origin from = origin(t, i);
        if (from.name.empty()) {
          for (size_t r = 0; r < t.rows; r++) {
            row_.assign(t.cols, 0.0f);
            o_.make_row(t, i, r, row_);
            put_row(view, r);
          }
          continue;
        }
        const StoredMatrix source = *in_.find(from.name, t.block, from.i, from.count, t.rows, t.cols);
        const bool edits = o_.edit_row && o_.edit_row(t, i, 0, {});
        const Adjust stored = in_.adjust(from.name, t.block), wanted = piece.name.adjust;
        for (size_t r = 0; r < t.rows; r++) {
          if (!edits && stored == wanted && copy_bytes(source, source_row(t, r), view, r)) continue;
          read_row(source, source_row(t, r));
          adjust_row(row_, stored, wanted);
          if (edits) o_.edit_row(t, i, r, row_);
          put_row(view, r);
        }
      }
    }
    if (o_.progress) o_.progress(++done_, targets_.size());
  }

  static void adjust_row(std::vector<float>& row, Adjust from, Adjust to) {
    if (from == to) return;
    for (float& v : row) {
      if (from == Adjust::plus_one) v += 1;
      if (from == Adjust::minus_exp) v = -std::exp(v);
      if (from == Adjust::negated || to == Adjust::negated) v = -v;
      if (to == Adjust::plus_one) v -= 1;
      if (to == Adjust::minus_exp) v = std::log(-v);
    }
  }

  static std::byte* place(const StoredMatrix& view, size_t r) { return const_cast<std::byte*>(view.data) + view.row_offset(r); }

  static bool copy_bytes(const StoredMatrix& source, size_t from_row, const StoredMatrix& view, size_t to_row) {
    if (source.type != view.type || !source.contiguous_rows || !view.contiguous_rows) return false;
    std::memcpy(place(view, to_row), source.data + source.row_offset(from_row), bytes_of(source.type, source.cols));
    return true;
  }

  void read_row(const StoredMatrix& source, size_t r) {
    const std::byte* in = source.data + source.row_offset(r);
    row_.resize(source.cols);
    if (source.contiguous_rows) return decode(source.type, in, row_);
    for (size_t c = 0; c < source.cols; c++) decode(source.type, in + c * source.column_bytes, {&row_[c], 1});
  }

  void put_row(const StoredMatrix& view, size_t r) {
    std::byte* out = place(view, r);
    if (view.contiguous_rows) return encode_row(view.type, row_, {}, out);
    for (size_t c = 0; c < view.cols; c++) encode_row(view.type, {&row_[c], 1}, {}, out + c * view.column_bytes);
  }

  void write_gguf_file(const std::filesystem::path& out) {
    const nlohmann::json config = target_json();
    Metadata metadata = gguf_metadata(c_, config);
    if (o_.edit_metadata) o_.edit_metadata(metadata);
    std::vector<GgufPlannedTensor> planned;
    for (const Target& target : targets_)
      planned.push_back({target.name, target.type, target.shape, [this, &target](std::span<std::byte> bytes) { fill(target, bytes); }});
    add_rope_tensors(planned);
    write_gguf(out, metadata, planned);
  }

  // llama.cpp reads some scalings as a divisor for each frequency.
  void add_rope_tensors(std::vector<GgufPlannedTensor>& planned) const {
    if (c_.ropes.empty()) return;
    const Rope& r = c_.ropes[0];
    auto add = [&](const char* name, std::vector<float> values) {
      planned.push_back({name, TensorType::f32, {values.size()}, [values](std::span<std::byte> out) { std::memcpy(out.data(), values.data(), out.size()); }});
    };
    if (r.scaling == Rope::Scaling::llama3) {
      Rope plain = r;
      plain.scaling = Rope::Scaling::none;
      plain.short_factors.clear();
      const std::vector<float> scaled = rope_frequencies(r, 0).inverse, whole = rope_frequencies(plain, 0).inverse;
      std::vector<float> divisors;
      for (size_t i = 0; i < whole.size(); i++) divisors.push_back(whole[i] / scaled[i]);
      add("rope_freqs.weight", divisors);
    }
    if (r.scaling == Rope::Scaling::longrope) {
      add("rope_factors_long.weight", {r.long_factors.begin(), r.long_factors.end()});
      add("rope_factors_short.weight", {r.short_factors.begin(), r.short_factors.end()});
    }
  }

  void write_hf(const std::filesystem::path& out) {
    std::filesystem::create_directories(out);
    nlohmann::json config = target_json();
    config.erase("quantization_config");
    std::vector<SafetensorsPlanned> planned;
    for (const Target& target : targets_)
      planned.push_back({target.name, target.type, target.shape, [this, &target](std::span<std::byte> bytes) { fill(target, bytes); }});
    write_safetensors(out, planned);
    AtomicFile file(out / "config.json");
    file.write(config.dump(2) + "\n");
    file.commit();
  }

  Checkpoint& in_;
  const ConvertOptions& o_;
  const Config c_;
  std::map<std::string, TensorName> names_;
  std::vector<Target> targets_;
  std::vector<std::string> fallbacks_;
  std::vector<float> row_;
  size_t done_ = 0;
  bool target_interleaved_ = false;
};

}  // namespace

ConvertReport convert(Checkpoint& in, const std::filesystem::path& out, const ConvertOptions& options) { return Converter(in, options).run(out); }

}  // namespace moiety
