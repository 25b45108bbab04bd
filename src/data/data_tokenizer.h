// A tokenizer as data sets use it: with a fingerprint, and with the ids that stand between documents.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "text/tokenizer.h"

namespace moiety {

struct DataTokenizer {
  std::shared_ptr<const Tokenizer> tokenizer;
  uint64_t fingerprint = 0;     // of everything in its files that ids may depend on
  std::vector<int32_t> separator;  // in front of each document, so also between two: [1], or [2] where a text ends and begins with different ids
};

// Takes what load_tokenizer takes. An Error if no id of the vocabulary can stand between documents.
DataTokenizer load_data_tokenizer(const std::filesystem::path& path);

}  // namespace moiety
