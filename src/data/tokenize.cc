#include "data/tokenize.h"

#include <xxhash.h>

#include <atomic>

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/threads.h"
#include "data/token_file_writer.h"

namespace moiety {
namespace {

// Encoded by all threads before any of it is written.
constexpr uint64_t batch_bytes = uint64_t{16} << 20;

struct Text {
  std::string_view text;
  const std::string* domain;
};

// The documents of all files, and what keeps their bytes.
struct Texts {
  std::vector<MappedFile> files;
  std::vector<Text> documents;
  uint64_t bytes = 0;
};

Texts read_texts(std::span<const TextFile> files) {
  Texts out;
  for (const TextFile& file : files) {
    if (file.domain.find('\0') != std::string::npos) throw Error("{}: the name of its domain holds a zero byte", file.path.string());
    const auto bytes = out.files.emplace_back(file.path).bytes();
    const auto documents = split_documents({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (documents.empty()) throw Error("{}: has no text", file.path.string());
    for (std::string_view text : documents) {
      out.documents.push_back({text, &file.domain});
      out.bytes += text.size();
    }
  }
  if (out.documents.empty()) throw Error("there is no text file to tokenize; name one");
  return out;
}

// Of documents, their order and their domains; not of how they lie in files.
uint64_t fingerprint_of(const Texts& texts) {
  std::vector<uint64_t> hashes;
  for (const Text& t : texts.documents) {
    hashes.push_back(hash_document(t.text));
    hashes.push_back(hash_document(*t.domain));
  }
  return XXH3_64bits(hashes.data(), hashes.size() * sizeof(hashes[0]));
}

void write_tokens(const Texts& texts, const DataTokenizer& tokenizer, TokenFileWriter& writer, const TokenizeOptions& options) {
  Workers workers(options.threads ? options.threads : default_thread_count());
  const EncodeOptions plain{.add_special = false, .parse_special = false};
  std::atomic<uint64_t> done = 0;
  for (size_t begin = 0, end = 0; begin < texts.documents.size(); begin = end) {
    for (uint64_t bytes = 0; end < texts.documents.size() && (end == begin || bytes + texts.documents[end].text.size() <= batch_bytes); end++)
      bytes += texts.documents[end].text.size();
    std::vector<std::vector<int32_t>> ids(end - begin);
    workers.run(ids.size(), 1, [&](size_t from, size_t to, size_t) {
      for (size_t i = from; i < to; i++) {
        throw_if_interrupted();
        const std::string_view text = texts.documents[begin + i].text;
        ids[i] = tokenizer.tokenizer->encode(text, plain);
        const uint64_t now = done += text.size();
        if (options.progress) options.progress(now, texts.bytes);
      }
    });
    for (size_t i = 0; i < ids.size(); i++) writer.add(texts.documents[begin + i].text, ids[i], *texts.documents[begin + i].domain);
  }
}

}  // namespace

TokenFile tokenize_files(std::span<const TextFile> files, const DataTokenizer& tokenizer, const std::filesystem::path& out, const TokenizeOptions& options) {
  const Texts texts = read_texts(files);
  const TokenFileOrigin origin{static_cast<uint32_t>(tokenizer.tokenizer->size()), tokenizer.fingerprint, fingerprint_of(texts)};
  if (!std::filesystem::exists(out) || TokenFile::origin_of(out) != origin) {
    TokenFileWriter writer(out, origin, tokenizer.separator);
    write_tokens(texts, tokenizer, writer, options);
    writer.commit();
  }
  return TokenFile::open(out);
}

}  // namespace moiety
