#include "model/pack_file.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/threads.h"
#include "kernels/panel.h"
#include "model/config_gguf.h"
#include "model/convert.h"
#include "model/finite.h"
#include "model/load.h"

namespace moiety {
namespace {

struct Source {  // of a part
  Matrix matrix;
  std::vector<float> vector;  // its numbers, where it is one

  Matrix rows() const { return vector.empty() ? matrix : Matrix{TensorType::f32, vector.size(), 1, reinterpret_cast<const std::byte*>(vector.data()), sizeof(float)}; }
};

struct Record {
  std::string name;
  uint64_t bytes = 0;
  std::vector<size_t> parts;
};

// What belongs together: an expert, or a tensor. "blk.3.ffn_up_exps.weight" of expert 5 lies in "blk.3.ffn.expert.5", the fifth of "ffn_up_exps.1.weight"
// in "blk.3.ffn.expert.1.5".
std::string record_of(const LoadedTensor& t) {
  const size_t experts = t.name.find("_exps.");
  if (experts == std::string::npos) return t.name;
  const size_t dot = t.name.rfind('.', experts);
  const std::string rest = t.name.substr(experts + 6), group = std::isdigit(static_cast<unsigned char>(rest[0])) ? rest.substr(0, rest.find('.') + 1) : "";
  return fmt::format("{}.{}.expert.{}{}", t.name.substr(0, dot), t.name.substr(dot + 1, t.name.find('_', dot) - dot - 1), group, t.element);
}

// As the source says it; its values that only the checkpoint knew are written out.
Metadata source_metadata(const Checkpoint& in, const PackOptions& o) {
  nlohmann::json config = in.is_gguf() ? config_json_of(*in.gguf()) : in.hf()->config();
  if (!in.is_gguf()) {
    if (!in.config().end_ids.empty()) config["eos_token_id"] = in.config().end_ids;  // generation_config.json may have more
    Metadata m = gguf_metadata(in.config(), config, in.name());
    if (o.edit_metadata) o.edit_metadata(m);
    return m;
  }
  Metadata m;
  for (const auto& [key, value] : in.gguf()->metadata().entries())
    if (!key.starts_with("split.") && key != "general.alignment") m.append(key, value);
  m.set("moiety.config", config.dump());
  return m;
}

class PackedWriter {
 public:
  PackedWriter(const Checkpoint& in, const PackOptions& options) : in_(in), o_(options), workers_(options.threads ? options.threads : default_thread_count()) {}

  PackReport run(const std::filesystem::path& out) {
    if (in_.packed()) throw UsageError("{}: is packed already; copy it, or give the model that it was packed from", in_.path().string());
    check_output(in_, out, false);
    LoadOptions load;
    load.progress = o_.reading;
    load.visit = [this](const LoadedTensor& t) { add(t); };
    const auto model = load_model(in_.path(), load);
    report_.notes = model->notes;
    Metadata metadata = source_metadata(in_, o_);
    metadata.set("general.alignment", uint32_t{packed_record_alignment});
    set_packed_index(metadata, parts_);
    metadata.set("moiety.pack.fingerprint", model->fingerprint);
    metadata.set("moiety.pack.tied_output", model->config.tied_output);
    metadata.set("moiety.pack.rope_interleaved", !model->config.ropes.empty() && model->config.ropes[0].interleaved);
    write_gguf(out, metadata, planned());
    report_.records = records_.size();
    report_.parts = parts_.size();
    report_.bytes = std::filesystem::file_size(out);
    return report_;
  }

 private:
  void add(const LoadedTensor& t) {
    if (t.matrix.rows == 0 || t.matrix.cols == 0) return;
    if (!can_be_packed(t.matrix.type))
      throw Error("{}: tensor {} is of type {}, which a packed file does not hold; convert the model first (`moiety convert --type f16`)", in_.path().string(), t.name,
                  type_info(t.matrix.type).name);
    const bool panels = t.kernel_order && has_panels(t.matrix.type);
    if (t.kernel_order && !panels && t.name == "output.weight" && in_.config().tied_output) return;  // the embedding's rows serve
    const std::string name = record_of(t);
    const auto [at, is_new] = by_name_.emplace(name, records_.size());
    if (is_new) records_.push_back({name, 0, {}});
    Record& record = records_[at->second];
    const uint64_t offset = (record.bytes + packed_part_alignment - 1) / packed_part_alignment * packed_part_alignment;
    const PartOrder order = panels ? PartOrder::panels : PartOrder::rows;
    const uint64_t bytes = part_bytes(t.matrix.type, order, t.matrix.rows, t.matrix.cols);
    record.parts.push_back(parts_.size());
    record.bytes = offset + bytes;
    weight_bytes_ += bytes;
    report_.parts_in_rows += !panels;
    parts_.push_back({t.name, static_cast<uint32_t>(t.element), name, t.matrix.type, order, t.matrix.rows, t.matrix.cols, offset, bytes});
    sources_.push_back({t.matrix, {}});
    if (!t.vector) return;
    const float* values = reinterpret_cast<const float*>(t.matrix.data);
    sources_.back().vector.assign(values, values + t.matrix.rows);
  }

  std::vector<GgufPlannedTensor> planned() {
    checksums_.resize(parts_.size());
    std::vector<GgufPlannedTensor> out;
    for (const Record& record : records_) {
      const PackedPart& first = parts_[record.parts[0]];
      GgufPlannedTensor tensor{record.name, TensorType::i8, {record.bytes}, [this, &record](std::span<std::byte> bytes) { fill(record, bytes); }};
      if (record.parts.size() == 1 && first.order == PartOrder::rows) {  // an ordinary tensor to whoever reads GGUF
        tensor.type = first.type;
        tensor.shape = {first.rows};
        if (first.cols > 1) tensor.shape.push_back(first.cols);
      }
      out.push_back(std::move(tensor));
    }
    out.push_back({packed_checksums, TensorType::i64, {parts_.size()}, [this](std::span<std::byte> bytes) {  // all are known by then
                     std::memcpy(bytes.data(), checksums_.data(), bytes.size());
                   }});
    return out;
  }

  void fill(const Record& record, std::span<std::byte> bytes) {
    throw_if_interrupted();
    for (size_t i : record.parts) {
      const PackedPart& part = parts_[i];
      const std::span<std::byte> out = bytes.subspan(part.offset, part.bytes);
      fill_part(part, sources_[i].rows(), out);
      checksums_[i] = XXH3_64bits(out.data(), out.size());
      done_ += part.bytes;
      if (o_.writing) o_.writing(done_, weight_bytes_);
    }
  }

  void fill_part(const PackedPart& part, const Matrix& m, std::span<std::byte> out) {
    const std::string place = fmt::format("{}: tensor {}", in_.path().string(), part.name);
    const size_t bytes = part.order == PartOrder::panels ? panel_bytes(m.type, m.cols) : bytes_of(m.type, m.cols) * panel_rows;
    workers_.run(panels(m.rows), 4, [&](size_t begin, size_t end, size_t) {
      check_finite(m, begin * panel_rows, std::min<size_t>(end * panel_rows, m.rows), place);
      for (size_t p = begin; p < end; p++) {
        if (part.order == PartOrder::panels) pack_panel(m, p, out.subspan(p * bytes, bytes));
        else copy_rows(m, p * panel_rows, out.subspan(p * bytes));
      }
    });
  }

  // As many rows as a panel has.
  static void copy_rows(const Matrix& m, size_t first, std::span<std::byte> out) {
    const size_t line = bytes_of(m.type, m.cols);
    for (size_t r = first; r < std::min(first + panel_rows, m.rows); r++) std::memcpy(out.data() + (r - first) * line, m.row(r), line);
  }

  const Checkpoint& in_;
  const PackOptions& o_;
  Workers workers_;
  std::vector<PackedPart> parts_;
  std::vector<Source> sources_;    // of the parts
  std::vector<uint64_t> checksums_;
  std::vector<Record> records_;
  std::unordered_map<std::string, size_t> by_name_;
  PackReport report_;
  uint64_t weight_bytes_ = 0, done_ = 0;
};

}  // namespace

PackReport pack_file(const Checkpoint& in, const std::filesystem::path& out, const PackOptions& options) { return PackedWriter(in, options).run(out); }

}  // namespace moiety
