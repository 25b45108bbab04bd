// A trained model as a Hugging Face directory of a family that computes the same, so that the engine, Transformers and `moiety convert` read it.
#pragma once
#include <filesystem>

#include "data/data_tokenizer.h"
#include "learn/model.h"

namespace moiety {

// Why no known family is shaped so; empty if one is.
std::string export_obstacle(const LanguageModel& model);

// An Error if there is an obstacle.
void export_model(LanguageModel& model, Arena& arena, const std::filesystem::path& tokenizer_file, const DataTokenizer& tokenizer, const std::filesystem::path& directory);

}  // namespace moiety
