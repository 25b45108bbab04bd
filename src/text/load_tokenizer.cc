// Which file of a model holds its tokenizer.
#include "base/error.h"
#include "base/file.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace moiety {

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  if (fs::is_directory(path)) {
    auto read_if = [&](const char* name) { return fs::exists(path / name) ? read_text_file(path / name) : std::string(); };
    if (fs::exists(path / "tokenizer.json"))
      return tokenizer_from_json(read_text_file(path / "tokenizer.json"), (path / "tokenizer.json").string(), read_if("tokenizer_config.json"),
                                 read_if("chat_template.jinja"));
    if (fs::exists(path / "tokenizer.model"))
      return tokenizer_from_sentencepiece(read_text_file(path / "tokenizer.model"), (path / "tokenizer.model").string(), read_if("tokenizer_config.json"),
                                          read_if("chat_template.jinja"));
    throw Error("{}: has neither tokenizer.json nor tokenizer.model; give token ids instead of text", path.string());
  }
  if (!fs::exists(path)) throw Error("{}: there is no such file or directory", path.string());
  const std::string name = path.filename().string();
  if (name.ends_with(".gguf")) return tokenizer_from_gguf(GgufFile::open(path).metadata());
  const std::string file = read_text_file(path);
  if (name.ends_with(".json")) return tokenizer_from_json(file, path.string());
  if (file.starts_with("GGUF")) return tokenizer_from_gguf(GgufFile::open(path).metadata());
  return tokenizer_from_sentencepiece(file, path.string());
}

}  // namespace moiety
