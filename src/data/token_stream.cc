#include "data/token_stream.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace moiety {

std::vector<uint32_t> documents_of(const TokenFile& file, size_t domain, DocumentPart part, const Split& split) {
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < file.documents().size(); i++) {
    const Document& d = file.documents()[i];
    const bool held_out = uniform(split.seed, d.hash, RandomStream::data_split) < split.validation;
    if (d.domain == domain && held_out == (part == DocumentPart::validation)) out.push_back(i);
  }
  return out;
}

std::vector<uint32_t> sample_documents(const TokenFile& file, std::vector<uint32_t> documents, uint64_t bytes) {
  std::ranges::sort(documents, {}, [&](uint32_t i) { return std::pair(file.documents()[i].hash, i); });
  size_t count = 0;
  for (uint64_t sum = 0; count < documents.size(); count++) {
    sum += file.documents()[documents[count]].bytes;
    if (count > 0 && sum > bytes) break;
  }
  documents.resize(count);
  std::ranges::sort(documents);
  return documents;
}

TokenStream::TokenStream(std::shared_ptr<const TokenFile> file, std::vector<uint32_t> documents) : file_(std::move(file)), documents_(std::move(documents)), starts_{0} {
  for (uint32_t i : documents_) starts_.push_back(starts_.back() + file_->end_of(i) - file_->documents()[i].first);
}

void TokenStream::read(uint64_t first, std::span<int32_t> out) const {
  for (size_t i = out.empty() ? 0 : document_at(first); !out.empty(); i++) {
    const size_t count = std::min<uint64_t>(out.size(), starts_[i + 1] - first);
    file_->read(document(i).first + first - starts_[i], out.first(count));
    out = out.subspan(count);
    first += count;
  }
}

size_t TokenStream::document_at(uint64_t place) const { return static_cast<size_t>(std::ranges::upper_bound(starts_, place) - starts_.begin()) - 1; }

uint64_t TokenStream::fingerprint() const {
  return XXH3_64bits_withSeed(documents_.data(), documents_.size() * sizeof(documents_[0]), file_->checksum());
}

}  // namespace moiety
