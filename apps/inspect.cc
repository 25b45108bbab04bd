// moiety inspect: what is in a model file.
#include <algorithm>
#include <cstdio>
#include <fmt/ranges.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/verbs.h"
#include "base/size.h"
#include "model/checkpoint.h"
#include "model/family.h"
#include "model/packed_index.h"

namespace moiety {
namespace {

using json = nlohmann::ordered_json;

struct SiteSummary {
  uint64_t elements = 0, bytes = 0;
  uint32_t experts = 0;  // that have elements; a row's chosen ones count as large as they are on average
  std::map<std::string, uint32_t> kinds, types;
  std::set<uint64_t> widths;
};

// Of a packed file what the kernel order takes, of others what is stored.
uint64_t bytes_in_file(const ExpertView& view, bool packed) {
  if (!packed) return view.bytes();
  uint64_t sum = 0;
  for (const Part& part : view.parts) {
    const Matrix& m = part.matrix;
    sum += part_bytes(m.type, m.panels ? PartOrder::panels : PartOrder::rows, m.rows, m.cols);
  }
  return sum;
}

SiteSummary summarise(const Site& site, bool packed) {
  SiteSummary out;
  std::vector<uint32_t> ids(site.bank->size());
  for (uint32_t e = 0; e < ids.size(); e++) ids[e] = e;
  const auto lease = site.bank->lease(ids);
  for (size_t i; (i = lease->wait_any()) != Lease::none;) {
    const ExpertView& view = lease->view(i);
    out.kinds[std::string(view.kind->name)]++;
    out.bytes += bytes_in_file(view, packed);
    uint64_t count = 0;
    for (const Part& part : view.parts) {
      count += part.matrix.rows * part.matrix.cols;
      if (part.role == PartRole::gate || part.role == PartRole::query || (part.role == PartRole::up && !view.find(PartRole::gate))) {
        out.types[std::string(type_info(part.matrix.type).name)]++;
        out.widths.insert(part.matrix.rows);
      }
    }
    out.elements += count;
    out.experts += count > 0;
  }
  return out;
}

// The texts of all sites as one routing text, rules by layer where layers differ.
std::string routing_of(const Model& model) {
  std::map<std::string, std::vector<uint32_t>> layers;
  for (const Site* site : model.sites) layers[site->routing].push_back(site->layer);
  if (layers.size() == 1) return layers.begin()->first;
  std::string out;
  for (const auto& [text, where] : layers) out += fmt::format("{}layers {}: {}", out.empty() ? "" : "; ", fmt::join(where, ","), text);
  return out;
}

// Numbers of the model, whatever they are packed in: scales are none of their own, nor is the embedding once more as the head.
uint64_t stored_elements(const Checkpoint& file) {
  uint64_t sum = 0;
  for (const Tensor& t : file.tensors()) {
    if (t.name.ends_with("_scales") || t.name.ends_with("_scale_inv")) continue;
    if (file.config().tied_output && (t.name == "output.weight" || t.name == "lm_head.weight")) continue;
    const bool pairs = t.name.ends_with("_blocks") && t.type == TensorType::u8;  // two 4-bit numbers in a byte
    sum += pairs ? 2 * t.count() : t.count();
  }
  return sum;
}

// As model cards count: everything that is not an idle expert, the embedding whole. What is skipped in the file is idle too.
uint64_t active_elements(const Model& model, uint64_t total, uint64_t idle) {
  uint64_t used = 0;
  for (const CanonicalTensor& t : canonical_tensors(model.config)) used += t.count * t.rows * t.cols;
  return std::min(total, used) - std::min(total, idle);
}

json describe(const Model& model, const Checkpoint& file) {
  const Config& c = model.config;
  uint64_t expert_bytes = 0, idle = 0, total_bytes = 0;
  for (const Tensor& t : file.tensors()) total_bytes += t.bytes.size();
  json experts = json::array();
  std::set<uint32_t> moe_layers;
  for (const Site* site : model.sites) {
    const SiteSummary s = summarise(*site, file.packed() != nullptr);
    expert_bytes += s.bytes;
    idle += s.elements - s.elements / std::max(1u, s.experts) * std::min(s.experts, site->config->router.top_k);
    if (site->name.ends_with("ffn")) moe_layers.insert(site->layer);
    experts.push_back({{"layer", site->layer}, {"site", site->name}, {"count", site->bank->size()}, {"kinds", s.kinds}, {"widths", s.widths},
                       {"types", s.types}, {"bytes", s.bytes}});
  }
  const uint64_t total = stored_elements(file);
  const uint64_t active = active_elements(model, total, idle);
  std::set<uint32_t> layers;
  for (const BlockConfig& b : c.blocks) layers.insert(b.layer);
  json out;
  out["family"] = c.family->name;
  out["layers"] = layers.size();
  out["d_model"] = c.d_model;
  out["vocab"] = c.vocab;
  out["context"] = c.context;
  out["moe_layers"] = moe_layers;
  out["experts"] = experts;
  out["routing"] = model.sites.empty() ? "" : routing_of(model);
  out["parameters"] = {{"total", total}, {"active", active}};
  out["bytes"] = {{"total", total_bytes}, {"experts", expert_bytes}};
  out["packed"] = file.packed() != nullptr;
  return out;
}

void print_text(const json& d, const Checkpoint& file, bool tensors, bool experts) {
  fmt::print("family      {}\nlayers      {} ({} with experts)\nd_model     {}\nvocabulary  {}\ncontext     {}\n", d["family"].get<std::string>(),
             d["layers"].get<int>(), d["moe_layers"].size(), d["d_model"].get<int>(), d["vocab"].get<int>(), d["context"].get<int>());
  fmt::print("parameters  {:.2f} M, {:.2f} M active per token\n", d["parameters"]["total"].get<double>() / 1e6, d["parameters"]["active"].get<double>() / 1e6);
  fmt::print("size        {}, experts {}\n", show_size(d["bytes"]["total"].get<uint64_t>()), show_size(d["bytes"]["experts"].get<uint64_t>()));
  if (const PackedIndex* packed = file.packed())
    fmt::print("packed      {} records in the kernels' order, {} parts with checksums (--check compares them)\n", packed->records(), packed->parts());
  if (const std::string routing = d["routing"].get<std::string>(); !routing.empty())
    fmt::print("routing     {}\n{}", routing, RoutingPolicy::parse(routing, Allow::batch).explain());
  if (experts) {
    fmt::print("\n{:>5}  {:<14} {:>6}  {:<22} {:<14} {:<16} {:>12}\n", "layer", "site", "count", "kinds", "widths", "types", "bytes");
    for (const json& e : d["experts"])
      fmt::print("{:>5}  {:<14} {:>6}  {:<22} {:<14} {:<16} {:>12}\n", e["layer"].get<int>(), e["site"].get<std::string>(), e["count"].get<int>(),
                 e["kinds"].dump(), e["widths"].dump(), e["types"].dump(), e["bytes"].get<uint64_t>());
  }
  if (tensors) {
    fmt::print("\n");
    for (const Tensor& t : file.tensors()) fmt::print("{:<64} {:<8} [{}]\n", t.name, type_info(t.type).name, fmt::join(t.shape, ", "));
  }
}

}  // namespace

void add_inspect(Commands& commands) {
  struct Options : ModelOptions {
    bool tensors = false, experts = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("inspect", "what is in a model: family, sizes, routing, experts");
  add_model_options(*verb, *o);
  verb->add_flag("--tensors", o->tensors, "every tensor with its type and shape");
  verb->add_flag("--experts", o->experts, "every site's experts");
  verb->footer("Example: moiety inspect model.gguf --experts");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      const auto model = open_model(*o, commands.quiet);
      const Checkpoint file = Checkpoint::open(model->path);
      json d = describe(*model, file);
      if (o->json && o->tensors) {
        d["tensors"] = json::array();
        for (const Tensor& t : file.tensors()) d["tensors"].push_back({{"name", t.name}, {"type", type_info(t.type).name}, {"shape", t.shape}});
      }
      if (o->json) fmt::print("{}\n", d.dump(2, ' ', false, json::error_handler_t::replace));
      else print_text(d, file, o->tensors, o->experts);
      return 0;
    };
  });
}

}  // namespace moiety
