// A tokenizer as keys of a GGUF file.
#pragma once
#include <filesystem>
#include <string>

#include "formats/metadata.h"

namespace moiety {

// Takes the tokenizer of a Hugging Face directory; returns a warning if it has none that GGUF can hold, and a placeholder vocabulary
// of `vocab` tokens was written.
std::string export_tokenizer(const std::filesystem::path& directory, uint32_t vocab, Metadata& metadata);

// tokenizer.* keys of one file in another.
void copy_tokenizer(const Metadata& from, Metadata& to);

}  // namespace moiety
