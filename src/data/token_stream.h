// Chosen documents of a token file as one run of ids, and the choice: by domain, by part, by size.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/token_file.h"

namespace moiety {

// Documents of one domain, by a hash of each text: a document stays in its part whatever is added before it, and copies stay together.
enum class DocumentPart { training, validation };
struct Split {
  double validation = 0;  // the share of documents
  uint64_t seed = 0;
};
std::vector<uint32_t> documents_of(const TokenFile& file, size_t domain, DocumentPart part, const Split& split);

// A fixed sample of `documents` of at most `bytes` of text, but at least one; in the order of the file.
std::vector<uint32_t> sample_documents(const TokenFile& file, std::vector<uint32_t> documents, uint64_t bytes);

class TokenStream {
 public:
  // `documents` ascend.
  TokenStream(std::shared_ptr<const TokenFile> file, std::vector<uint32_t> documents);

  uint64_t size() const { return starts_.back(); }
  void read(uint64_t first, std::span<int32_t> out) const;  // [first, first + out.size()) is within size()
  size_t documents() const { return documents_.size(); }
  const Document& document(size_t i) const { return file_->documents()[documents_[i]]; }
  uint64_t start_of(size_t i) const { return starts_[i]; }  // where in the stream; of documents(): its end
  size_t document_at(uint64_t place) const;                      // whose ids are there
  const TokenFile& file() const { return *file_; }
  uint64_t fingerprint() const;  // of its ids

 private:
  std::shared_ptr<const TokenFile> file_;
  std::vector<uint32_t> documents_;
  std::vector<uint64_t> starts_;  // [documents + 1]
};

}  // namespace moiety
