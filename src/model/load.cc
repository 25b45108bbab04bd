#include "model/load.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/codec.h"
#include "model/checkpoint.h"
#include "model/family.h"
#include "model/finite.h"
#include "model/packing_bank.h"

namespace moiety {
namespace {

enum class Order : uint8_t { rows, kernel,
                             at_first_use };  // in the kernels', but where the rows lie in a mapped file not yet

class Loader {
 public:
  Loader(Checkpoint& file, Model& model, const LoadOptions& options, std::shared_ptr<Packer> packer)
      : file_(&file), packed_(file.packed()), model_(model), check_(options.check), packer_(std::move(packer)), progress_(options.progress), visit_(options.visit) {
    if (!progress_) return;
    for (const Tensor& tensor : file.tensors()) file_bytes_ += tensor.bytes.size();
    for (const CanonicalTensor& t : canonical_tensors(model.config)) numbers_ += t.vector ? 0 : t.count * t.rows * t.cols;
  }
  // Only looks whether every tensor is there in its shape.
  Loader(Checkpoint& file, Model& model) : file_(&file), model_(model), check_(false), look_only_(true) {}
  // Reads nothing and notes what it was asked for.
  Loader(Model& model, std::vector<CanonicalTensor>& list) : file_(nullptr), model_(model), check_(false), list_(&list) {}

  // A matrix in place if its rows are contiguous and evenly apart, a copy otherwise; or in kernel order, if there is a packer.
  Matrix matrix(const std::string& name, const BlockConfig* block, size_t i, size_t count, size_t rows, size_t cols, Order order = Order::rows) {
    if (list_) return note({name, block_index(block), count, rows, cols, false, stacked(name)}, i), Matrix{TensorType::f32, rows, cols, nullptr, 0};
    if (look_only_) return look(name, block, i, count, rows, cols), Matrix{TensorType::f32, rows, cols, nullptr, 0};
    if (packed_) return packed_matrix(name, block, i, rows, cols, order);
    const std::optional<StoredMatrix> m = file_->find(name, block_index(block), i, count, rows, cols);
    if (!m) missing(name, block);
    model_.weight_bytes += bytes_of(m->type, m->rows * m->cols);
    Matrix out{m->type, rows, cols, m->data, m->row_bytes};
    std::shared_ptr<std::vector<std::byte>> copy;
    if (!m->contiguous_rows || !m->uniform()) out = copied(*m, copy);
    if (check_) check_finite(out, 0, rows, place(name, block));
    if (rows > 0) mix(out.row(rows / 2), bytes_of(out.type, cols));
    const bool mapped = !copy && file_->mapped(out.data);
    if (packer_ && order != Order::rows && !(mapped && order == Order::at_first_use)) packer_->pack(out, mapped);
    if (copy && out.data) model_.storage.push_back(copy);
    if (visit_) visit_({canonical_name(name, block_index(block)), i, out, false, order != Order::rows});
    advance(rows * cols);
    return out;
  }

  // Of a matrix that is also read row by row: of its stored form only the rows in use stay in memory.
  Matrix also_in_kernel_order(Matrix m) {
    if (packed_) return packed_->find("output.weight", 0, m.rows, m.cols, check_).value_or(m);
    if (visit_) visit_({"output.weight", 0, m, false, true});
    if (packer_) packer_->pack(m, file_->mapped(m.data));
    return m;
  }

  Linear linear(const std::string& name, const BlockConfig* block, size_t rows, size_t cols, bool bias) {
    Linear out;
    out.name = canonical_name(name, block_index(block));
    out.weight = matrix(name + ".weight", block, 0, 1, rows, cols, Order::kernel);
    if (bias) out.bias = vector(name + ".bias", block, rows);
    return out;
  }

  // A float32 copy with the family's adjustment.
  std::span<const float> vector(const std::string& name, const BlockConfig* block, size_t n) { return vectors({name}, block, n); }

  // Several vectors of n numbers, one after another.
  std::span<const float> vectors(std::initializer_list<std::string> names, const BlockConfig* block, size_t n) {
    auto values = std::make_shared<std::vector<float>>();
    for (const std::string& name : names) append_vector(name, block, 0, 1, n, *values);
    model_.storage.push_back(values);
    return *values;
  }

  // The bias of the i-th of `count` experts, as a matrix of one row.
  Matrix bias_row(const std::string& name, const BlockConfig* block, size_t i, size_t count, size_t n) {
    auto values = std::make_shared<std::vector<float>>();
    append_vector(name, block, i, count, n, *values);
    model_.storage.push_back(values);
    return {TensorType::f32, 1, n, reinterpret_cast<const std::byte*>(values->data()), n * sizeof(float)};
  }

  NormWeights norm(const std::string& name, const BlockConfig* block, size_t n) {
    NormWeights out;
    out.weight = vector(name + ".weight", block, n);
    if (model_.config.norm_bias && model_.config.norm == NormKind::layer) out.bias = vector(name + ".bias", block, n);
    return out;
  }
  // Norms inside attention have no bias in any family.
  NormWeights plain_norm(const std::string& name, const BlockConfig* block, size_t n) { return {vector(name + ".weight", block, n), {}}; }

  std::shared_ptr<ExpertBank> bank(std::vector<MemoryBank::Expert> experts) {
    if (packer_) return std::make_shared<PackingBank>(std::move(experts), packer_);
    return std::make_shared<MemoryBank>(std::move(experts));
  }

  FeedForward feed_forward(const std::string& suffix, const BlockConfig* block, size_t width, bool bias, bool gated = true) {
    const size_t d = model_.config.d_model;
    FeedForward out;
    if (gated) out.gate = linear("ffn_gate" + suffix, block, width, d, bias);
    out.up = linear("ffn_up" + suffix, block, width, d, bias);
    out.down = linear("ffn_down" + suffix, block, d, width, bias);
    return out;
  }

 private:
  // What was decoded has other bytes than the file's: the share of the numbers counts.
  void advance(size_t numbers) {
    throw_if_interrupted();
    numbers_done_ += numbers;
    if (progress_) progress_(static_cast<uint64_t>(static_cast<double>(file_bytes_) * static_cast<double>(numbers_done_) / static_cast<double>(numbers_)), file_bytes_);
  }

  Matrix packed_matrix(const std::string& name, const BlockConfig* block, size_t i, size_t rows, size_t cols, Order order) {
    if (rows == 0 || cols == 0) return {TensorType::f32, rows, cols, nullptr, 0};
    const auto m = packed_->find(canonical_name(name, block_index(block)), i, rows, cols, check_);
    if (!m) missing(name, block, i);
    if (order == Order::rows && !m->data) throw Error("{} is in the kernels' order, but is read row by row; the file is damaged", place(name, block));
    model_.weight_bytes += bytes_of(m->type, rows * cols);
    advance(rows * cols);
    return *m;
  }

  void append_packed_vector(const std::string& name, const BlockConfig* block, size_t i, size_t n, std::vector<float>& out) {
    if (n == 0) return;
    const auto m = packed_->find(canonical_name(name, block_index(block)), i, n, 1, check_);
    if (!m) missing(name, block, i);
    if (m->type != TensorType::f32 || !m->data) throw Error("{} is a vector and not rows of F32; the file is damaged", place(name, block));
    const size_t begin = out.size();
    out.resize(begin + n);
    std::memcpy(out.data() + begin, m->data, n * sizeof(float));
    model_.weight_bytes += n * sizeof(float);
  }

  void append_vector(const std::string& name, const BlockConfig* block, size_t i, size_t count, size_t n, std::vector<float>& out) {
    if (list_) return note({name, block_index(block), count, n, 1, true, stacked(name)}, i);
    if (look_only_) return look(name, block, i, count, n, 1);
    if (packed_) return append_packed_vector(name, block, i, n, out);
    const std::optional<StoredMatrix> m = file_->find(name, block_index(block), i, count, n, 1);
    if (!m) missing(name, block);
    const Adjust adjust = file_->adjust(name, block_index(block));
    const size_t begin = out.size();
    out.resize(begin + n);
    for (size_t r = 0; r < n; r++) {
      float& v = out[begin + r];
      decode(m->type, m->data + m->row_offset(r), {&v, 1});
      if (adjust == Adjust::plus_one) v += 1;
      if (adjust == Adjust::minus_exp) v = -std::exp(v);
      if (adjust == Adjust::negated) v = -v;
    }
    model_.weight_bytes += n * sizeof(float);
    mix(out.data() + begin, n * sizeof(float));
    const std::byte* bytes = reinterpret_cast<const std::byte*>(out.data() + begin);
    if (check_) check_finite(Matrix{TensorType::f32, 1, n, bytes, 0}, 0, 1, place(name, block));
    if (visit_) visit_({canonical_name(name, block_index(block)), i, {TensorType::f32, n, 1, bytes, sizeof(float)}, true, false});
  }

  void look(const std::string& name, const BlockConfig* block, size_t i, size_t count, size_t rows, size_t cols) {
    if (!file_->type_of(name, block_index(block), i, count, rows, cols)) missing(name, block);
  }

  void mix(const void* data, size_t bytes) { model_.fingerprint = XXH3_64bits_withSeed(data, bytes, model_.fingerprint); }

  void note(CanonicalTensor tensor, size_t i) {
    if (i == 0) list_->push_back(std::move(tensor));
  }
  static bool stacked(const std::string& name) { return name.find("_exps.") != std::string::npos || name == "attn_k_b.weight" || name == "attn_v_b.weight"; }

  int block_index(const BlockConfig* block) const { return block ? static_cast<int>(block - model_.config.blocks.data()) : -1; }

  std::string place(const std::string& name, const BlockConfig* block) {
    return fmt::format("{}: tensor {}", file_->path().string(), canonical_name(name, block_index(block)));
  }

  // `element`: which of a stack, where it is known.
  [[noreturn]] void missing(const std::string& name, const BlockConfig* block, size_t element = 0) {
    throw Error("{}{} is missing", place(name, block), element ? fmt::format(":{}", element) : "");
  }

  static Matrix copied(const StoredMatrix& m, std::shared_ptr<std::vector<std::byte>>& bytes) {
    const size_t line = bytes_of(m.type, m.cols);
    bytes = std::make_shared<std::vector<std::byte>>(line * m.rows);
    for (size_t r = 0; r < m.rows; r++) {
      const std::byte* from = m.data + m.row_offset(r);
      std::byte* to = bytes->data() + r * line;
      const size_t size = type_info(m.type).block_bytes;
      if (m.contiguous_rows) std::memcpy(to, from, line);
      else
        for (size_t c = 0; c < m.cols; c++) std::memcpy(to + c * size, from + c * m.column_bytes, size);
    }
    return {m.type, m.rows, m.cols, bytes->data(), line};
  }

  Checkpoint* file_;
  PackedIndex* packed_ = nullptr;
  Model& model_;
  bool check_, look_only_ = false;
  std::shared_ptr<Packer> packer_;
  OnProgress progress_;
  std::function<void(const LoadedTensor&)> visit_;
  uint64_t file_bytes_ = 0, numbers_ = 0, numbers_done_ = 0;
  std::vector<CanonicalTensor>* list_ = nullptr;
};

void load_attention(Loader& load, const Config& c, const BlockConfig& b, AttentionWeights& a) {
  const AttentionConfig own = c.attention_of(b);
  const size_t d = c.d_model, q = size_t{own.heads} * own.key_size * (c.output_gate == OutputGate::in_query ? 2 : 1);
  const size_t k = size_t{own.kv_heads} * own.key_size, v = size_t{own.kv_heads} * own.value_size, out = size_t{own.heads} * own.value_size;
  if (b.mixer == Mixer::latent_attention) {
    const size_t nope = c.key_size - c.rope_key_size;
    if (c.q_rank) {
      a.q_a = load.linear("attn_q_a", &b, c.q_rank, d, c.qkv_bias);
      a.q_a_norm = load.plain_norm("attn_q_a_norm", &b, c.q_rank);
      a.q_b = load.linear("attn_q_b", &b, size_t{c.heads} * c.key_size, c.q_rank, false);
    } else {
      a.q = load.linear("attn_q", &b, size_t{c.heads} * c.key_size, d, false);
    }
    a.kv_a = load.linear("attn_kv_a_mqa", &b, c.kv_rank + c.rope_key_size, d, c.qkv_bias);
    a.kv_a_norm = load.plain_norm("attn_kv_a_norm", &b, c.kv_rank);
    for (size_t h = 0; h < c.heads; h++) {
      a.k_b.push_back(load.matrix("attn_k_b.weight", &b, h, c.heads, c.kv_rank, nope, Order::kernel));
      a.v_b.push_back(load.matrix("attn_v_b.weight", &b, h, c.heads, c.value_size, c.kv_rank, Order::kernel));
    }
  } else {
    a.k = load.linear("attn_k", &b, k, d, own.bias);
    a.v = load.linear("attn_v", &b, v, d, own.bias);
    if (b.mixer == Mixer::expert_attention) return;
    a.q = load.linear("attn_q", &b, q, d, own.bias);
    if (own.qk_norm == QkNorm::per_head || own.qk_norm == QkNorm::whole) {
      const bool whole = own.qk_norm == QkNorm::whole;
      a.q_norm = load.plain_norm("attn_q_norm", &b, whole ? size_t{own.heads} * own.key_size : own.key_size);
      a.k_norm = load.plain_norm("attn_k_norm", &b, whole ? k : own.key_size);
    }
  }
  a.output = load.linear("attn_output", &b, d, out, own.output_bias);
  if (c.sinks) a.sinks = load.vector("attn_sinks.weight", &b, c.heads);
  if (c.output_gate == OutputGate::per_element) a.gate = load.linear("attn_gate", &b, out, d, false);
  if (c.output_gate == OutputGate::per_head) a.gate = load.linear("attn_gate", &b, c.heads, d, false);
}

void load_recurrent(Loader& load, const Config& c, const BlockConfig& b, RecurrentWeights& r) {
  const size_t d = c.d_model, taps = c.conv_length;
  if (b.mixer == Mixer::short_convolution) {
    r.in = load.linear("shortconv.in_proj", &b, 3 * d, d, c.conv_bias);
    r.conv = load.vector("shortconv.conv.weight", &b, d * taps);
    if (c.conv_bias) r.conv_bias = load.vector("shortconv.conv.bias", &b, d);
    r.output = load.linear("shortconv.out_proj", &b, d, d, c.conv_bias);
    return;
  }
  const size_t keys = size_t{c.delta_key_heads} * c.delta_key_size, values = size_t{c.delta_value_heads} * c.delta_value_size;
  const bool kimi = b.mixer == Mixer::kimi_delta;
  r.q = load.linear("delta_q", &b, keys, d, false);
  r.k = load.linear("delta_k", &b, keys, d, false);
  r.v = load.linear("delta_v", &b, values, d, false);
  r.gate = load.linear("delta_gate", &b, values, d, false);
  r.beta = load.linear("delta_beta", &b, c.delta_value_heads, d, false);
  r.decay = load.linear("delta_decay", &b, kimi ? keys : c.delta_value_heads, d, false);
  if (kimi) r.conv = load.vectors({"delta_conv_q.weight", "delta_conv_k.weight", "delta_conv_v.weight"}, &b, keys * taps);
  else r.conv = load.vector("delta_conv.weight", &b, (2 * keys + values) * taps);
  r.decay_rate = load.vector("delta_decay_rate", &b, c.delta_value_heads);
  r.decay_bias = load.vector("delta_decay.bias", &b, kimi ? keys : c.delta_value_heads);
  r.norm = load.plain_norm("delta_norm", &b, c.delta_value_size);
  r.output = load.linear("delta_output", &b, d, values, false);
}

// Appends a group's experts. Every group but the first has a number in its tensors' names.
void load_group(Loader& load, const Config& c, const BlockConfig& b, const ExpertGroupConfig& g, size_t number, std::vector<MemoryBank::Expert>& out) {
  const std::string suffix = group_suffix("_exps", number);
  const auto size = [&](PartSize s) -> size_t { return s == PartSize::model ? c.d_model : s == PartSize::width ? g.width : 2; };
  for (size_t e = 0; e < g.count; e++) {
    MemoryBank::Expert& expert = out.emplace_back(MemoryBank::Expert{g.kind, {}});
    for (const PartShape& p : g.kind->parts) {
      if (p.where_biased && !c.expert_bias) continue;
      const std::string name = std::string(p.tensor) + suffix;
      expert.parts.push_back({p.role, is_vector(p.role) ? load.bias_row(name + ".bias", &b, e, g.count, size(p.rows))
                                                        : load.matrix(name + ".weight", &b, e, g.count, size(p.rows), size(p.cols), Order::at_first_use)});
    }
  }
}

std::unique_ptr<Site> load_site(Loader& load, const Config& c, const BlockConfig& b, const SiteConfig& s, bool attention) {
  auto site = std::make_unique<Site>();
  const size_t block = static_cast<size_t>(&b - c.blocks.data());
  const size_t ids = s.ids(), d = c.d_model;
  site->layer = b.layer;
  site->name = fmt::format("blk.{}.{}", block, attention ? "attn" : "ffn");
  site->config = &s;
  site->routing = s.routing.empty() ? routing_text(s.router) : s.routing;
  if (s.has_router) site->router = load.linear(attention ? "attn_gate_inp" : "ffn_gate_inp", &b, ids, d, c.router_bias);
  if (s.earlier_scores) site->earlier = load.linear("ffn_gate_inp.prev", &b, ids, s.earlier_scores, false);
  if (s.router.choice_bias) site->choice_bias = load.vector("exp_probs_b.bias", &b, ids);
  if (s.route_table) site->route_table = load.vector("ffn_route_table", &b, c.vocab);
  std::vector<MemoryBank::Expert> experts;
  for (size_t g = 0; g < s.groups.size(); g++) load_group(load, c, b, s.groups[g], g, experts);
  site->bank = load.bank(std::move(experts));
  for (size_t i = 0; i < s.shared.size() && !attention; i++) {
    const SharedConfig& shared = s.shared[i];
    const std::string suffix = group_suffix("_shexp", i);
    site->shared.push_back({shared.kind, load.feed_forward(suffix, &b, shared.width, c.ffn_bias, shared.kind->has_gate), {}});
    if (shared.gate) site->shared.back().gate = load.linear("ffn_gate_inp" + suffix, &b, 1, d, false);
  }
  if (s.output_bias) site->output_bias = load.vector(attention ? "attn_exps_output.bias" : "ffn_exps_output.bias", &b, d);
  return site;
}

void load_block(Loader& load, const Config& c, const BlockConfig& b, Block& out) {
  const size_t d = c.d_model;
  const bool before = c.placement != NormPlacement::post;
  const bool after = c.placement == NormPlacement::post || c.placement == NormPlacement::sandwich;
  if (before) out.mixer_norm = load.norm("attn_norm", &b, d);
  if (before && c.placement != NormPlacement::parallel) out.ffn_norm = load.norm("ffn_norm", &b, d);
  if (after) {
    out.mixer_post_norm = load.norm("attn_post_norm", &b, d);
    out.ffn_post_norm = load.norm("ffn_post_norm", &b, d);
  }
  const bool recurrent = b.mixer != Mixer::attention && b.mixer != Mixer::latent_attention && b.mixer != Mixer::expert_attention;
  if (recurrent) load_recurrent(load, c, b, out.recurrent);
  else load_attention(load, c, b, out.attention);
  if (b.mixer == Mixer::expert_attention) out.attention_site = load_site(load, c, b, *c.attention_experts, true);
  if (b.ffn_width) out.ffn = load.feed_forward("", &b, b.ffn_width, c.ffn_bias);
  if (b.experts) out.site = load_site(load, c, b, *b.experts, false);
}

void load_tensors(Loader& load, Model& model) {
  const Config& c = model.config;
  model.embedding = load.matrix("token_embd.weight", nullptr, 0, 1, c.vocab, c.d_model);
  model.output_norm = load.norm("output_norm", nullptr, c.d_model);
  if (c.tied_output) model.output.weight = load.also_in_kernel_order(model.embedding);
  else model.output.weight = load.matrix("output.weight", nullptr, 0, 1, c.vocab, c.d_model, Order::kernel);
  model.output.name = "output";
  if (c.head_bias) model.output.bias = load.vector("output.bias", nullptr, c.vocab);
  for (const BlockConfig& b : c.blocks) {
    Block& block = model.blocks.emplace_back();
    block.config = &b;
    block.index = static_cast<uint32_t>(model.blocks.size() - 1);
    load_block(load, c, b, block);
  }
}

}  // namespace

std::vector<CanonicalTensor> canonical_tensors(const Config& config) {
  std::vector<CanonicalTensor> out;
  Model model;
  model.config = config;
  Loader load(model, out);
  load_tensors(load, model);
  return out;
}

std::vector<std::string> check_tensors(Checkpoint& file) {
  Model model;
  model.config = file.config();
  Loader load(file, model);
  load_tensors(load, model);
  return file.unclaimed();
}

std::shared_ptr<const Model> load_model(const std::filesystem::path& path, const LoadOptions& options) {
  Checkpoint file = Checkpoint::open(path);
  auto model = std::make_shared<Model>();
  model->config = file.config();
  model->path = path;
  if (file.packed() && !options.pack)
    throw UsageError("{}: is a packed file, whose weights are in the kernels' order only; leave out --compute f32, or give the model that it was packed from", path.string());
  std::shared_ptr<Packer> packer;
  if (options.pack && !file.packed()) packer = std::make_shared<Packer>(options.threads ? options.threads : default_thread_count());
  Loader load(file, *model, options, packer);
  load_tensors(load, *model);
  if (packer) model->storage.push_back(packer);
  for (Block& block : model->blocks)
    for (Site* site : {block.attention_site.get(), block.site.get()})
      if (site) {
        site->index = static_cast<uint32_t>(model->sites.size());
        model->sites.push_back(site);
      }
  model->notes = file.unclaimed();
  if (file.packed()) model->fingerprint = file.packed()->fingerprint();
  for (auto& bytes : file.storage()) model->storage.push_back(bytes);
  return model;
}

}  // namespace moiety
