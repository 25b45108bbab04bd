// A trained model as a Hugging Face directory that the engine and `moiety convert` read: of a family that computes the same, so that Transformers reads
// it too, or in the keys of Moiety's own family (model/config_own.h).
#pragma once
#include <filesystem>

#include "data/data_tokenizer.h"
#include "learn/model.h"

namespace moiety {

// Why no family that Transformers knows is shaped so; empty if one is.
std::string beyond_transformers(const LanguageModel& model);

void export_model(LanguageModel& model, Arena& arena, const std::filesystem::path& tokenizer_file, const DataTokenizer& tokenizer, const std::filesystem::path& directory);

// The files of a tokenizer beside a model: tokenizer.json as it is, and the token that ends a text.
void export_tokenizer(const std::filesystem::path& file, const DataTokenizer& tokenizer, int64_t context, const std::filesystem::path& directory);

}  // namespace moiety
