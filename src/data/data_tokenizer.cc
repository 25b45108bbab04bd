#include "data/data_tokenizer.h"

#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

// Takes values one after another; each with its size, so that no two lists of them look alike.
class Fingerprint {
 public:
  Fingerprint() { XXH3_64bits_reset(state_.get()); }
  void add(std::string_view text) {
    add(uint64_t{text.size()});
    XXH3_64bits_update(state_.get(), text.data(), text.size());
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  void add(T value) {
    XXH3_64bits_update(state_.get(), &value, sizeof(value));
  }
  void add(const MetaArray& array) {
    std::visit([this](const auto& values) {
      add(uint64_t{values.size()});
      for (const auto& value : values) add(value);
    }, array.values);
  }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_{XXH3_createState(), XXH3_freeState};
};

bool is_gguf(const fs::path& path) {
  if (path.extension() == ".gguf") return true;
  const MappedFile file(path);
  return file.bytes().size() >= 4 && std::string_view(reinterpret_cast<const char*>(file.bytes().data()), 4) == "GGUF";
}

uint64_t fingerprint_of(const fs::path& path) {
  Fingerprint out;
  if (fs::is_directory(path)) {
    for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"})
      out.add(fs::exists(path / name) ? std::string_view(read_text_file(path / name)) : std::string_view());
  } else if (is_gguf(path)) {
    const GgufFile file = GgufFile::open(path);
    for (const auto& [key, value] : file.metadata().entries()) {
      if (key.find("tokenizer.") == std::string::npos) continue;
      out.add(std::string_view(key));
      std::visit([&out](const auto& v) { out.add(v); }, value);
    }
  } else {
    out.add(std::string_view(read_text_file(path)));
  }
  return out.value();
}

std::vector<int32_t> separator_of(const Tokenizer& t, const fs::path& path) {
  if (t.adds_bos() && t.eos() && t.eos() != t.bos()) return {*t.eos(), *t.bos()};
  if (t.eos()) return {*t.eos()};
  if (t.bos()) return {*t.bos()};
  if (const auto id = t.id_of("<|endoftext|>")) return {*id};
  throw Error("{}: names no token for the end of a text (eos_token in tokenizer_config.json, or <|endoftext|>), so documents cannot be told apart", path.string());
}

}  // namespace

DataTokenizer load_data_tokenizer(const fs::path& path) {
  DataTokenizer out;
  out.tokenizer = load_tokenizer(path);
  out.separator = separator_of(*out.tokenizer, path);
  out.fingerprint = fingerprint_of(path);
  return out;
}

}  // namespace moiety
