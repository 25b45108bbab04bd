// Text files to a token file, which is kept while text and tokenizer stay the same.
#pragma once
#include <filesystem>
#include <span>

#include "base/progress.h"
#include "data/data_tokenizer.h"
#include "data/documents.h"
#include "data/token_file.h"

namespace moiety {

struct TokenizeOptions {
  size_t threads = 0;        // 0: default_thread_count(). The file is the same for any number
  OnProgress progress = {};  // in bytes of text
};

// Opens `out` if it was made of this text by this tokenizer, and makes it otherwise. Special tokens that are written out in a text are
// text. A file without text, and an `out` that is something else or damaged, are an Error; neither is overwritten.
TokenFile tokenize_files(std::span<const TextFile> files, const DataTokenizer& tokenizer, const std::filesystem::path& out, const TokenizeOptions& options = {});

}  // namespace moiety
