#include "formats/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf_parse.h"

namespace moiety {
namespace {

// Takes numbers and texts from the front of some bytes; whatever is announced must be there.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  int32_t count(const char* what, int32_t least) {
    int32_t value;
    std::memcpy(&value, take(4).data(), 4);
    if (value < least) throw Error("{}: announces {} {}; it is no importance matrix, or it is damaged", origin_, value, what);
    return value;
  }
  std::span<const std::byte> take(size_t size) {
    if (size > bytes_.size()) throw Error("{}: ends {} bytes too early; it is no importance matrix, or it is truncated", origin_, size - bytes_.size());
    const auto front = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return front;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& origin_;
};

std::vector<float> floats(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / 4);
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * 4);
  return out;
}

}  // namespace

ImportanceMatrix ImportanceMatrix::read(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse(file.bytes(), path.string());
}

ImportanceMatrix ImportanceMatrix::parse(std::span<const std::byte> file, const std::string& origin) {
  ImportanceMatrix out;
  out.origin_ = origin;
  if (file.size() >= 4 && std::memcmp(file.data(), "GGUF", 4) == 0) out.read_gguf(file);
  else out.read_dat(file);
  if (out.entries_.empty()) throw Error("{}: holds no importance for any tensor", out.origin_);
  return out;
}

void ImportanceMatrix::read_dat(std::span<const std::byte> file) {
  Reader in(file, origin_);
  const int32_t entries = in.count("entries", 1);
  for (int32_t i = 0; i < entries; i++) {
    const int32_t length = in.count("letters of a name", 1);
    const auto text = in.take(static_cast<size_t>(length));
    const std::string name(reinterpret_cast<const char*>(text.data()), text.size());
    const int32_t calls = in.count("calls", 0), values = in.count("values", 1);
    std::vector<float> sums = floats(in.take(static_cast<size_t>(values) * 4));
    for (float& v : sums) v /= static_cast<float>(std::max(calls, 1));
    add(name, std::move(sums));
  }
}

void ImportanceMatrix::read_gguf(std::span<const std::byte> file) {
  const std::vector<Tensor> tensors = parse_gguf(file, origin_).tensors;
  constexpr std::string_view ending = ".in_sum2";
  std::map<std::string_view, const Tensor*> by_name;
  for (const Tensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  for (const Tensor& sums : tensors) {
    if (!sums.name.ends_with(ending)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - ending.size());
    const auto found = by_name.find(name + ".counts");
    const Tensor* counts = found == by_name.end() ? nullptr : found->second;
    if (!counts || counts->type != TensorType::f32 || sums.type != TensorType::f32 || counts->count() == 0 || sums.count() % counts->count() != 0)
      throw Error("{}: tensor {} needs one of F32 counts beside it, {}.counts", origin_, sums.name, name);
    std::vector<float> values = floats(sums.bytes);
    const std::vector<float> tokens = floats(counts->bytes);
    const size_t channels = values.size() / tokens.size();
    // An expert that no token chose has zeros, which weigh like ones.
    for (size_t k = 0; k < values.size(); k++) values[k] = tokens[k / channels] > 0 ? values[k] / tokens[k / channels] : 0;
    add(name, std::move(values));
  }
}

void ImportanceMatrix::add(const std::string& name, std::vector<float> values) {
  for (float v : values)
    if (!std::isfinite(v) || v < 0) throw Error("{}: the importance of tensor {} holds {}, which is no mean of squares", origin_, name, v);
  if (!entries_.emplace(name, std::move(values)).second) throw Error("{}: tensor {} stands there twice", origin_, name);
}

std::span<const float> ImportanceMatrix::find(const std::string& tensor, size_t i, size_t count, size_t channels) const {
  const auto entry = entries_.find(tensor);
  if (entry == entries_.end()) return {};
  const std::vector<float>& values = entry->second;
  if (values.size() == channels) return values;
  if (values.size() == channels * count) return std::span(values).subspan(i * channels, channels);
  throw Error("{}: tensor {} has {} values of importance, but {} matrices of {} channels; the importance matrix is another model's", origin_, tensor,
              values.size(), count, channels);
}

}  // namespace moiety
