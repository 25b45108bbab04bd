#include "model/config_own.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "routing/policy.h"

namespace moiety {
namespace {

using nlohmann::json;

constexpr size_t most_blocks = 10000, most_groups = 1024;
constexpr uint32_t most_experts = 1u << 16;      // of a site
constexpr uint64_t most_experts_in_all = 1u << 22;
constexpr uint64_t most_latent_heads_in_all = 1u << 20;  // each has two matrices

// A key that nothing reads would be a part that is not computed.
void check_keys(const json& object, const std::string& origin, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items())
    if (std::ranges::count(known, key) == 0) throw Error("{}: key '{}' is not known here; there are {}", origin, key.substr(0, 60), fmt::join(known, ", "));
}

// A list of objects below an object; empty if it is not there.
const json& list(const json& object, const char* key, const std::string& origin, size_t most) {
  static const json none = json::array();
  const auto found = object.find(key);
  if (found == object.end()) return none;
  if (!found->is_array() || found->size() > most || !std::ranges::all_of(*found, [](const json& e) { return e.is_object(); }))
    throw Error("{}: key {}: a list of at most {} objects is expected", origin, key, most);
  return *found;
}

const json& object_of(const json& object, const char* key, const std::string& origin) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_object()) throw Error("{}: key {} is missing, or is no object", origin, key);
  return *found;
}

uint32_t count_in(const Keys& keys, const char* key, uint32_t low, uint32_t high) {
  const uint32_t value = keys.required({key});
  if (value < low || value > high) throw Error("{}: key {} is {}; it must lie between {} and {}", keys.origin(), key, value, low, high);
  return value;
}

double needed(const Keys& keys, const char* key) {
  if (const auto value = keys.number({key})) return *value;
  throw Error("{}: key {} is missing", keys.origin(), key);
}

std::string names_of(bool (*which)(const ExpertKind&)) {
  std::vector<std::string_view> out;
  for (const ExpertKind* kind : all_expert_kinds())
    if (!kind->config_name.empty() && which(*kind)) out.push_back(kind->config_name);
  return fmt::format("{}", fmt::join(out, ", "));
}

const ExpertKind* kind_of(const Keys& keys) {
  const std::string name = keys.text({"kind"}, std::string(ffn_expert.config_name));
  for (const ExpertKind* kind : all_expert_kinds())
    if (!kind->config_name.empty() && kind->config_name == name) return kind;
  throw Error("{}: there is no kind of expert '{}'; there are {}", keys.origin(), name.substr(0, 60), names_of([](const ExpertKind&) { return true; }));
}

ExpertGroupConfig read_group(const json& object, const std::string& origin) {
  const Keys keys(object, origin);
  ExpertGroupConfig out{kind_of(keys), count_in(keys, "count", 1, most_experts), 0};
  if (out.kind->has_width()) {
    check_keys(object, origin, {"kind", "count", "width"});
    out.width = keys.required({"width"});
  } else {
    check_keys(object, origin, {"kind", "count"});
  }
  return out;
}

SharedConfig read_shared(const json& object, const std::string& origin) {
  check_keys(object, origin, {"kind", "width", "gate"});
  const Keys keys(object, origin);
  const SharedConfig out{kind_of(keys), count_in(keys, "width", 1, 1u << 20), keys.flag({"gate"}, false)};
  if (!out.kind->is_ffn()) throw Error("{}: experts that every row uses must be FFNs: {}", origin, names_of([](const ExpertKind& kind) { return kind.is_ffn(); }));
  return out;
}

// The stages must fit the experts and the tensors that there are; what the tensors hold is looked at when they are there.
void check_routing(const SiteConfig& s, uint32_t layer, const std::string& origin) {
  const std::vector<float> zeros(s.ids());
  StageSite site{layer, layer, s.ids(), {}, s.ids()};
  site.tensors.find = [&](std::string_view name) {
    const size_t n = name == "bias" && s.router.choice_bias ? s.ids() : name == "table" && s.route_table ? 1 : 0;
    return std::span<const float>(zeros).first(n);
  };
  try {
    const Pipeline pipeline = RoutingPolicy::parse("@model").bind(site, s.routing);
    if (pipeline.needs_logits() && !s.has_router) throw UsageError("it needs a router, and \"router\" is false");
  } catch (const UsageError& e) {
    throw Error("{}: routing: {}", origin, e.what());
  }
}

// The most experts that a row has, as far as the text says.
uint32_t most_chosen(const SiteConfig& s) {
  if (!s.has_router && s.route_table) return 1;
  const uint32_t k = first_top_k(s.routing);
  return k >= 1 && k < s.ids() ? k : s.ids();
}

SiteConfig read_own_site(const json& object, uint32_t layer, const std::string& origin) {
  check_keys(object, origin, {"experts", "shared", "routing", "router", "gating_residual", "bias", "route_table"});
  const Keys keys(object, origin);
  SiteConfig s;
  uint64_t all = 0;
  for (const json& group : list(object, "experts", origin, most_groups)) {
    s.groups.push_back(read_group(group, fmt::format("{}: experts[{}]", origin, s.groups.size())));
    all += s.groups.back().count;
  }
  if (all < 1 || all > most_experts) throw Error("{}: {} experts; from 1 to {} are possible", origin, all, most_experts);
  for (const json& shared : list(object, "shared", origin, most_groups)) s.shared.push_back(read_shared(shared, fmt::format("{}: shared[{}]", origin, s.shared.size())));
  s.routing = keys.text({"routing"});
  if (s.routing.empty()) throw Error("{}: key routing is missing", origin);
  s.has_router = keys.flag({"router"}, true);
  s.router.choice_bias = keys.flag({"bias"}, false);
  s.route_table = keys.flag({"route_table"}, false);
  check_routing(s, layer, origin);
  s.router.top_k = most_chosen(s);
  return s;
}

// Scores go from router to router, whatever blocks without one stand between.
void join_routers(const json& object, const std::string& origin, SiteConfig*& last_router, SiteConfig& s) {
  if (Keys(object, origin).flag({"gating_residual"}, false)) {
    if (!s.has_router || !last_router) throw Error("{}: gating_residual: there is no router {}", origin, s.has_router ? "before this one" : "here");
    s.earlier_scores = last_router->ids();
    last_router->scores_join_next = true;
  }
  if (s.has_router) last_router = &s;
}

QkNorm qk_norm_of(const Keys& keys) {
  const std::string name = keys.text({"qk_norm"}, "none");
  if (name == "none") return QkNorm::none;
  if (name == "per_head") return QkNorm::per_head;
  if (name == "whole") return QkNorm::whole;
  throw Error("{}: qk_norm '{}' is not known; none, per_head and whole are", keys.origin(), name.substr(0, 60));
}

int rope_of(std::vector<Rope>& ropes, double theta, uint32_t size) {
  const auto same = std::ranges::find_if(ropes, [&](const Rope& r) { return r.theta == theta && r.size == size; });
  if (same != ropes.end()) return static_cast<int>(same - ropes.begin());
  Rope rope;
  rope.theta = theta, rope.size = size;
  ropes.push_back(rope);
  return static_cast<int>(ropes.size() - 1);
}

// Its sizes are the model's: blocks with latent attention are alike in them. Others may stand between.
void read_own_latent(const json& object, const std::string& origin, Config& c, BlockConfig& b) {
  check_keys(object, origin, {"kind", "heads", "kv_rank", "q_rank", "head_size", "rope_head_size", "value_head_size", "rope_theta", "latent_norm_eps"});
  const Keys keys(object, origin);
  Config own;
  own.heads = own.kv_heads = count_in(keys, "heads", 1, 65536);
  own.kv_rank = count_in(keys, "kv_rank", 1, 65536);
  own.q_rank = keys.count_or({"q_rank"}, 0);
  own.rope_key_size = count_in(keys, "rope_head_size", 2, 65536);
  if (own.rope_key_size % 2 != 0) throw Error("{}: {} numbers of a head can't be rotated in pairs", origin, own.rope_key_size);
  own.key_size = count_in(keys, "head_size", 1, 65536) + own.rope_key_size;
  own.value_size = count_in(keys, "value_head_size", 1, 65536);
  own.latent_norm_epsilon = static_cast<float>(keys.number({"latent_norm_eps"}, own.latent_norm_epsilon));
  const auto sizes = [](const Config& a) { return std::tuple(a.heads, a.kv_rank, a.q_rank, a.rope_key_size, a.key_size, a.value_size, a.latent_norm_epsilon); };
  if (c.kv_rank && sizes(own) != sizes(c)) throw Error("{}: its sizes differ from those of the latent attention before it", origin);
  std::tie(c.heads, c.kv_rank, c.q_rank, c.rope_key_size, c.key_size, c.value_size, c.latent_norm_epsilon) = sizes(own);
  c.kv_heads = c.heads;
  c.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.key_size)));
  c.qk_norm = QkNorm::none;
  b.mixer = Mixer::latent_attention;
  b.rope = rope_of(c.ropes, needed(keys, "rope_theta"), c.rope_key_size);
}

void read_own_attention(const json& object, const std::string& origin, Config& c, BlockConfig& b) {
  const std::string kind = Keys(object, origin).text({"kind"}, "causal");
  if (kind == "latent") return read_own_latent(object, origin, c, b);
  if (kind != "causal") throw Error("{}: there is no kind of attention '{}'; there are causal, latent", origin, kind.substr(0, 60));
  check_keys(object, origin, {"kind", "heads", "kv_heads", "head_size", "rope_theta", "window", "qk_norm", "bias", "output_bias"});
  const Keys keys(object, origin);
  AttentionConfig a;
  a.heads = count_in(keys, "heads", 1, 65536);
  a.kv_heads = count_in(keys, "kv_heads", 1, a.heads);
  if (a.heads % a.kv_heads != 0) throw Error("{}: {} heads do not divide among {} key heads", origin, a.heads, a.kv_heads);
  a.key_size = a.value_size = count_in(keys, "head_size", 2, 65536);
  if (a.key_size % 2 != 0) throw Error("{}: heads of {} numbers can't be rotated in pairs", origin, a.key_size);
  a.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(a.key_size)));
  a.qk_norm = qk_norm_of(keys);
  a.bias = keys.flag({"bias"}, false);
  a.output_bias = keys.flag({"output_bias"}, false);
  b.window = keys.count_or({"window"}, 0);
  if (b.window) b.mask = Mask::window;
  b.rope = rope_of(c.ropes, needed(keys, "rope_theta"), a.key_size);
  b.attention = a;
}

}  // namespace

void read_own_config(const Keys& keys, Config& c) {
  c.d_model = count_in(keys, "hidden_size", 1, 1u << 20);
  c.vocab = count_in(keys, "vocab_size", 1, 1u << 24);
  c.context = keys.required({"max_position_embeddings"});
  c.norm_epsilon = c.output_norm_epsilon = static_cast<float>(needed(keys, "rms_norm_eps"));
  c.tied_output = keys.flag({"tie_word_embeddings"}, false);
  const json* blocks = keys.find({"blocks"});
  if (!blocks || !blocks->is_array() || blocks->empty() || blocks->size() > most_blocks || !std::ranges::all_of(*blocks, [](const json& e) { return e.is_object(); }))
    throw Error("{}: key blocks: a list of 1 to {} objects is expected, one for each block", keys.origin(), most_blocks);
  uint64_t experts = 0, latent_heads = 0;
  SiteConfig* last_router = nullptr;
  c.blocks.reserve(blocks->size());  // its sites stay where they are
  for (const json& block : *blocks) {
    const std::string origin = fmt::format("{}: blocks[{}]", keys.origin(), c.blocks.size());
    check_keys(block, origin, {"attention", "ffn"});
    BlockConfig& b = c.blocks.emplace_back();
    b.layer = static_cast<uint32_t>(c.blocks.size() - 1);
    read_own_attention(object_of(block, "attention", origin), origin + ": attention", c, b);
    if (b.mixer == Mixer::latent_attention) latent_heads += c.heads;
    if (latent_heads > most_latent_heads_in_all) throw Error("{}: more than {} heads of latent attention in all", keys.origin(), most_latent_heads_in_all);
    const json& ffn = object_of(block, "ffn", origin);
    if (ffn.contains("experts")) {
      b.experts = read_own_site(ffn, b.layer, origin + ": ffn");
      join_routers(ffn, origin + ": ffn", last_router, *b.experts);
    } else {
      check_keys(ffn, origin + ": ffn", {"width"});
      b.ffn_width = count_in(Keys(ffn, origin + ": ffn"), "width", 1, 1u << 20);
    }
    experts += b.experts ? b.experts->ids() : 0;
    if (experts > most_experts_in_all) throw Error("{}: more than {} experts in all", keys.origin(), most_experts_in_all);
  }
  if (c.kv_rank) return;
  // The first block's, for what asks the model.
  const AttentionConfig& first = *c.blocks[0].attention;
  c.heads = first.heads, c.kv_heads = first.kv_heads, c.key_size = first.key_size, c.value_size = first.value_size;
  c.attention_scale = first.scale, c.qk_norm = first.qk_norm;
}

}  // namespace moiety
