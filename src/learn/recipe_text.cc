#include "learn/recipe_text.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/size.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

constexpr const char* how_to_make = "`make corpus` makes the text in build/corpus, or name another folder of DOMAIN/train.txt and DOMAIN/test.txt with --text";

fs::path tokenizer_beside(const fs::path& folder) {
  for (const fs::path& beside : {folder / "tokenizer/tokenizer.json", folder / "../tokenizer/tokenizer.json"})
    if (fs::is_regular_file(beside)) return beside;
  throw UsageError("{}: there is no tokenizer/tokenizer.json in it or beside it; {}; --tokenizer names one elsewhere", folder.string(), how_to_make);
}

}  // namespace

RecipeText find_recipe_text(const fs::path& folder, const fs::path& tokenizer) {
  if (!fs::is_directory(folder)) throw UsageError("{}: there is no such folder of text; {}", folder.string(), how_to_make);
  if (!tokenizer.empty() && !fs::is_regular_file(tokenizer)) throw UsageError("{}: there is no such tokenizer", tokenizer.string());
  std::vector<fs::path> domains;
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::is_regular_file(entry.path() / "train.txt") && fs::is_regular_file(entry.path() / "test.txt")) domains.push_back(entry.path());
  if (domains.empty()) throw UsageError("{}: no folder in it holds train.txt and test.txt; {}", folder.string(), how_to_make);
  std::ranges::sort(domains);
  const fs::path chosen = fs::canonical(tokenizer.empty() ? tokenizer_beside(folder) : tokenizer);
  RecipeText out{nlohmann::json::object(), fmt::format("tokenizer {}", fs::file_size(chosen)), ""};
  out.data["tokenizer"] = chosen.string();
  for (const fs::path& domain : domains) {
    const fs::path train = fs::canonical(domain / "train.txt"), test = fs::canonical(domain / "test.txt");
    out.data["source"].push_back({{"domain", domain.filename().string()}, {"files", train.string()}, {"held_out", test.string()}});
    out.in_words += fmt::format("{}{} {}", out.in_words.empty() ? "" : ", ", domain.filename().string(), show_size(fs::file_size(train)));
    out.fingerprint += fmt::format("; {} {} {}", domain.filename().string(), fs::file_size(train), fs::file_size(test));
  }
  return out;
}

}  // namespace moiety
