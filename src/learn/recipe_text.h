// The text that recipes train on: a folder of domains, DOMAIN/train.txt and DOMAIN/test.txt, as `make corpus` makes it.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

namespace moiety {

struct RecipeText {
  nlohmann::json data;      // keys of a description's table [data], with full paths, every domain with the same share
  std::string fingerprint;  // of names and sizes
  std::string in_words;     // "maths 4.6 MiB, words 120 KiB"
};

// tokenizer: empty: tokenizer/tokenizer.json in the folder or beside it.
RecipeText find_recipe_text(const std::filesystem::path& folder, const std::filesystem::path& tokenizer);

}  // namespace moiety
