// A text of any bytes for each kind of tokenizer: it gives ids of its vocabulary; what byte-level ones give back (the text, normalised)
// they give back again.
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "fuzz/input.h"
#include "text/tokenizer.h"

namespace {

struct Kind {
  const char* folder;
  bool byte_level;
};
constexpr Kind kinds[] = {{"byte_level", true}, {"metaspace", false}, {"unigram", false}, {"wordpiece", false}};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizers = [] {
    std::vector<std::shared_ptr<const moiety::Tokenizer>> out;
    for (const Kind& kind : kinds) out.push_back(moiety::load_tokenizer(std::filesystem::path(MOIETY_SOURCE_DIR "/tests/data/tokenizers") / kind.folder));
    return out;
  }();
  const std::string_view text = moiety::as_text(data, size);
  for (size_t k = 0; k < tokenizers.size(); k++) {
    const moiety::Tokenizer& tokenizer = *tokenizers[k];
    const std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = false, .parse_special = false});
    const std::string whole = tokenizer.decode(ids);
    if (kinds[k].byte_level && tokenizer.decode(tokenizer.encode(whole, {.add_special = false, .parse_special = false})) != whole) std::abort();
    moiety::StreamDecoder stream(tokenizer, false);
    for (int32_t id : ids) stream.push(id);
    stream.flush();
  }
  return 0;
}
