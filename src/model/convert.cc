#include "model/convert.h"

#include <algorithm>
#include <cstring>

#include "base/atomic_directory.h"
#include "base/error.h"
#include "base/file.h"
#include "formats/safetensors.h"
#include "model/config_export.h"
#include "model/config_gguf.h"
#include "model/config_hf.h"
#include "model/convert_plan.h"
#include "model/convert_rows.h"
#include "model/family.h"
#include "model/gguf_limits.h"
#include "model/rope.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

nlohmann::json source_json(const Checkpoint& in) { return in.is_gguf() ? config_json_of(*in.gguf()) : in.hf()->config(); }

Config target_config(const Checkpoint& in, const ConvertOptions& o) {
  if (o.target_config.is_null()) return in.config();
  Config c = read_hf_config(o.target_config, nlohmann::json::object(), "the new model");
  for (size_t i = 0; i < c.ropes.size() && i < in.config().ropes.size(); i++) c.ropes[i].interleaved = in.config().ropes[i].interleaved;
  return c;
}

// llama.cpp reads some scalings as a divisor for each frequency.
void add_rope_tensors(const Config& c, std::vector<GgufPlannedTensor>& planned) {
  if (c.ropes.empty()) return;
  const Rope& r = c.ropes[0];
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

class Converter {
 public:
  Converter(Checkpoint& in, const ConvertOptions& options)
      : in_(in), o_(options), c_(target_config(in, options)), source_(in, options),
        rows_(in, c_, options, options.to_hf ? hf_interleaved() : c_.family->gguf_interleaved) {}

  ConvertReport run(const fs::path& out) {
    check_output(in_, out, o_.to_hf);
    const std::vector<std::string> skipped = check_tensors(in_);  // before anything is planned by what the configuration claims
    targets_ = plan_targets(c_, o_.to_hf, in_.path().string());
    for (const CanonicalTensor& t : canonical_tensors(c_))
      for (size_t i = 0; i < t.count; i++) source_.type(t, i);  // all must be there before the first is written
    choose_types(c_, o_, source_, targets_, report_.notes);
    report_.notes.insert(report_.notes.end(), skipped.begin(), skipped.end());
    note_importance();
    count_changes();
    rows_.total_bytes = report_.bytes;
    if (o_.to_hf) write_hf(out);
    else write_gguf_file(out);
    return report_;
  }

 private:
  nlohmann::json target_json() const { return o_.target_config.is_null() ? source_json(in_) : o_.target_config; }
  // How rotated pairs of q and k lie in the directory: as whoever reads its config.json will take them.
  bool hf_interleaved() const {
    const Config c = read_hf_config(target_json(), nlohmann::json::object(), in_.path().string());
    return !c.ropes.empty() && c.ropes[0].interleaved;
  }

  void note_importance() {
    if (!o_.importance) return;
    std::vector<std::string> missing;
    size_t used = 0;
    for (const Target& t : targets_) {
      const bool there = o_.importance->contains(t.name);
      used += there;
      if (type_info(t.type).block == 1) continue;
      if (!there) missing.push_back(t.name);
      for (const Piece& piece : t.pieces) o_.importance->find(t.name, 0, piece.tensor.count, piece.tensor.cols);  // has the right size
    }
    if (used == 0) throw Error("{}: names no tensor of {}; it is another model's", o_.importance->origin(), in_.path().string());
    if (!missing.empty()) report_.notes.push_back(fmt::format("{}: has no importance for {}", o_.importance->origin(), fmt::join(missing, ", ")));
    if (used < o_.importance->size())
      report_.notes.push_back(fmt::format("{}: {} entries are of tensors that this model has not", o_.importance->origin(), o_.importance->size() - used));
  }

  void count_changes() {
    for (const Target& t : targets_) {
      const TensorType from = source_.type(t.first(), t.begin());
      auto change = std::ranges::find_if(report_.changes, [&](const auto& c) { return c.from == from && c.to == t.type; });
      if (change == report_.changes.end()) change = report_.changes.insert(change, {.from = from, .to = t.type});
      change->tensors++;
      change->bytes_after += t.bytes();
      for (const Piece& piece : t.pieces)
        for (size_t i = t.begin(); i < t.end(piece.tensor); i++)
          change->bytes_before += bytes_of(source_.type(piece.tensor, i), piece.tensor.rows * piece.tensor.cols);
      report_.bytes += t.bytes();
    }
    report_.tensors = targets_.size();
  }

  void write_gguf_file(const fs::path& out) {
    Metadata metadata = gguf_metadata(c_, target_json(), in_.name());
    if (o_.type) metadata.set("general.file_type", o_.type->file_type);
    metadata.set("general.quantization_version", uint32_t{2});
    if (o_.edit_metadata) o_.edit_metadata(metadata);
    std::vector<GgufPlannedTensor> planned;
    for (const Target& target : targets_)
      planned.push_back({target.name, target.type, target.shape, [this, &target](std::span<std::byte> bytes) { rows_.fill(target, bytes); }});
    add_rope_tensors(c_, planned);
    write_gguf(out, metadata, planned);
    report_.warnings = beyond_llama_cpp(c_);
  }

  void write_hf(const fs::path& out) {
    AtomicDirectory directory(out, is_model_file);
    std::vector<SafetensorsPlanned> planned;
    for (const Target& target : targets_)
      planned.push_back({target.name, target.type, target.shape, [this, &target](std::span<std::byte> bytes) { rows_.fill(target, bytes); }});
    write_safetensors(directory.path(), planned);
    AtomicFile file(directory.path() / "config.json");
    file.write(exported_config(target_json(), c_, most_common_type()).dump(2) + "\n");
    file.commit();
    if (o_.add_companions) o_.add_companions(directory.path());
    directory.commit();
  }

  TensorType most_common_type() const {
    return std::ranges::max_element(report_.changes, {}, &ConvertReport::Change::bytes_after)->to;
  }

  Checkpoint& in_;
  const ConvertOptions& o_;
  const Config c_;
  const ConvertSource source_;
  RowWriter rows_;
  std::vector<Target> targets_;
  ConvertReport report_;
};

}  // namespace

void check_output(const Checkpoint& in, const fs::path& out, bool to_hf) {
  if (!fs::exists(out)) return;
  std::vector<fs::path> sources = {in.path()};
  if (in.is_gguf()) sources = in.gguf()->files();
  for (const fs::path& source : sources)
    if (fs::equivalent(source, out)) throw UsageError("{}: is the source itself; give another name for the result", out.string());
  if (!to_hf) {
    if (fs::is_directory(out)) throw UsageError("{}: is a directory; give a file name, or --to hf", out.string());
    if (!fs::is_regular_file(out) || fs::file_size(out) == 0) return;
    const MappedFile file(out);
    if (file.bytes().size() < 4 || std::memcmp(file.bytes().data(), "GGUF", 4) != 0)
      throw UsageError("{}: is there already and no GGUF file; it is not overwritten, give another name", out.string());
  } else {
    if (!fs::is_directory(out)) throw UsageError("{}: is a file; give a directory, or --to gguf", out.string());
    if (!fs::is_empty(out) && !fs::exists(out / "config.json"))
      throw UsageError("{}: is a directory with other things in it and no model; it is not touched, give another name", out.string());
  }
}

ConvertReport convert(Checkpoint& in, const fs::path& out, const ConvertOptions& options) { return Converter(in, options).run(out); }

}  // namespace moiety
