#include "data/documents.h"

#include <xxhash.h>

namespace moiety {

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\f', begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

uint64_t hash_document(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

}  // namespace moiety
