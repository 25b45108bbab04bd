// A sequence as a file:
//   "MOIETYS1", fingerprint u64, cache type u32, then each as count u64 and its bytes: routing text, ids, and per block keys, values,
//   convolution and delta state, per site the stages' memory; positions computed u64, declared length u64, seed u64; checksum u64
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "engine/session.h"

namespace moiety {
namespace {

constexpr char magic[9] = "MOIETYS1";

template <class T, class Allocator>
void put(std::string& out, const std::vector<T, Allocator>& values) {
  const uint64_t count = values.size();
  out.append(reinterpret_cast<const char*>(&count), sizeof(count));
  out.append(reinterpret_cast<const char*>(values.data()), count * sizeof(T));
}

void put(std::string& out, uint64_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof(value)); }

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string origin) : bytes_(bytes), origin_(std::move(origin)) {}
  uint64_t number() {
    uint64_t value;
    std::memcpy(&value, take(sizeof(value)), sizeof(value));
    return value;
  }
  template <class List>
  List list() {
    using T = typename List::value_type;
    const uint64_t count = number();
    if (count > bytes_.size() / sizeof(T)) damaged();
    List out(count);
    const std::byte* from = take(count * sizeof(T));
    if (count) std::memcpy(out.data(), from, count * sizeof(T));
    return out;
  }
  bool empty() const { return bytes_.empty(); }
  [[noreturn]] void damaged() const { throw Error("{}: the saved session is truncated or damaged", origin_); }

 private:
  const std::byte* take(size_t n) {
    if (n > bytes_.size()) damaged();
    const std::byte* out = bytes_.data();
    bytes_ = bytes_.subspan(n);
    return out;
  }
  std::span<const std::byte> bytes_;
  std::string origin_;
};

// A file of the right checksum may still be somebody's own: nothing in it is taken for granted.
bool fits(const Model& model, TensorType type, const SequenceState& s, size_t computed) {
  const Config& c = model.config;
  const bool any = computed > 0;
  if (computed > s.ids.size() || std::ranges::any_of(s.ids, [&](int32_t id) { return id < 0 || static_cast<uint32_t>(id) >= c.vocab; })) return false;
  for (const Block& block : model.blocks) {
    const BlockState& b = s.blocks[block.index];
    const AttentionConfig a = c.attention_of(*block.config);
    size_t key = size_t{a.kv_heads} * a.key_size, value = size_t{a.kv_heads} * a.value_size, conv = 0, delta = 0;
    switch (block.config->mixer) {
      case Mixer::attention: break;
      case Mixer::expert_attention: value = key; break;
      case Mixer::latent_attention: key = c.kv_rank + c.rope_key_size, value = 0; break;
      case Mixer::short_convolution: key = value = 0, conv = (c.conv_length - 1) * c.d_model; break;
      case Mixer::gated_delta:
      case Mixer::kimi_delta: {
        const size_t keys = size_t{c.delta_key_heads} * c.delta_key_size, values = size_t{c.delta_value_heads} * c.delta_value_size;
        key = value = 0, conv = (c.conv_length - 1) * (2 * keys + values), delta = c.delta_value_heads * c.delta_key_size * c.delta_value_size;
      }
    }
    if (b.keys.size() != computed * bytes_of(type, key) || b.values.size() != computed * bytes_of(type, value) || b.conv.size() != any * conv ||
        b.delta.size() != any * delta)
      return false;
  }
  return true;
}

}  // namespace

void Session::save(uint32_t sequence, const std::filesystem::path& path) const {
  const Sequence& s = at(sequence);
  std::string out(magic, 8);
  put(out, model_->fingerprint);
  put(out, static_cast<uint64_t>(cache_type_));
  put(out, std::vector<char>(s.routing->text.begin(), s.routing->text.end()));
  put(out, s.ids);
  for (const BlockState& b : s.blocks) {
    put(out, b.keys);
    put(out, b.values);
    put(out, b.conv);
    put(out, b.delta);
  }
  for (const std::vector<float>& memory : s.site_memory) put(out, memory);
  put(out, s.computed);
  put(out, s.declared_length);
  put(out, s.seed);
  put(out, XXH3_64bits(out.data(), out.size()));
  AtomicFile file(path);
  file.write(out);
  file.commit();
}

uint32_t Session::load(const std::filesystem::path& path) {
  const MappedFile file(path);
  return restore(file.bytes(), path.string());
}

uint32_t Session::restore(std::span<const std::byte> bytes, const std::string& origin) {
  if (bytes.size() < 16 || std::memcmp(bytes.data(), magic, 8) != 0) throw Error("{}: is not a saved session", origin);
  uint64_t checksum;
  std::memcpy(&checksum, bytes.data() + bytes.size() - 8, 8);
  Reader in(bytes.subspan(8, bytes.size() - 16), origin);
  if (XXH3_64bits(bytes.data(), bytes.size() - 8) != checksum) in.damaged();
  if (in.number() != model_->fingerprint) throw Error("{}: was saved with another model", origin);
  if (in.number() != static_cast<uint64_t>(cache_type_)) throw Error("{}: was saved with another cache type; give the same --kv", origin);
  const std::vector<char> routing = in.list<std::vector<char>>();
  Sequence s;
  try {
    s.routing = bind(std::string(routing.begin(), routing.end()));
  } catch (const Error& e) {  // a wrong file is no wrong command
    throw Error("{}: its routing text is not one: {}", origin, e.what());
  }
  forget(s);
  s.ids = in.list<std::vector<int32_t>>();
  for (BlockState& b : s.blocks) {
    b.keys = in.list<LargeBytes>();
    b.values = in.list<LargeBytes>();
    b.conv = in.list<std::vector<float>>();
    b.delta = in.list<std::vector<float>>();
  }
  for (std::vector<float>& memory : s.site_memory) memory = in.list<std::vector<float>>();
  const uint64_t computed = in.number(), declared = in.number();
  s.seed = in.number();
  if (!in.empty() || declared > UINT32_MAX || !fits(*model_, cache_type_, s, computed)) in.damaged();
  for (size_t i = 0; i < s.site_memory.size(); i++)
    if (!s.site_memory[i].empty() && s.site_memory[i].size() != s.routing->sites[i].memory_size()) in.damaged();
  s.declared_length = static_cast<uint32_t>(declared);
  if (s.ids.size() > context_)
    throw Error("{}: {} tokens do not fit into the context of {}; give a larger --context", origin, s.ids.size(), context_);
  choose_frequencies(s);
  s.computed = computed;
  sequences_.emplace(next_, std::move(s));
  return next_++;
}

}  // namespace moiety
