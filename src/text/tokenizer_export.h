// A tokenizer from a Hugging Face directory to the keys of a GGUF file, and back.
//
// llama.cpp's keys cannot say everything that tokenizer.json can. What is not in them (normaliser, pre-tokenizer, flags of added tokens)
// stands in a key of our own, moiety.tokenizer.json: the file without its vocabulary and merges. Where it is present it decides, so that
// a model gives the same ids in both forms.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "formats/metadata.h"
#include "text/tokenizer.h"
#include "text/tokenizer_file.h"

namespace moiety {

inline constexpr const char* kTokenizerKey = "moiety.tokenizer.json";

// Takes the tokenizer of a Hugging Face directory; returns a warning if llama.cpp would cut texts differently, or if there is no
// tokenizer and a placeholder vocabulary of `vocab` tokens was written.
std::string export_tokenizer(const std::filesystem::path& directory, uint32_t vocab, Metadata& metadata);

// The vocabulary and the rest of one tokenizer.json; `tokenizer` is what it makes.
void export_tokenizer_file(const TokenizerFile& file, const Tokenizer& tokenizer, uint32_t vocab, Metadata& metadata);

// tokenizer.* keys of one file in another.
void copy_tokenizer(const Metadata& from, Metadata& to);

// Writes tokenizer.json and tokenizer_config.json; returns a warning if the file has no tokenizer to write.
std::string write_tokenizer(const Metadata& metadata, const std::filesystem::path& directory);

// What stands beside the weights of a Hugging Face directory: its tokenizer with special tokens and chat template, its defaults for generation.
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to);

// tokenizer.json as it was before export_tokenizer(); nothing without moiety.tokenizer.json.
std::optional<TokenizerFile> exported_file(const Metadata& metadata);
// The same for a GGUF file by others: what its keys say.
TokenizerFile file_from_gguf(const Metadata& metadata);

}  // namespace moiety
