// The table of switches in docs/families.md says what the rows of the code say.
#include "model/family.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace moiety {
namespace {

const char* name_of(NormPlacement p) {
  switch (p) {
    case NormPlacement::pre: return "before";
    case NormPlacement::post: return "after";
    case NormPlacement::sandwich: return "before and after";
    case NormPlacement::parallel: return "one for both";
  }
  return "";
}

const char* name_of(QkNorm n) {
  switch (n) {
    case QkNorm::none: return "";
    case QkNorm::per_head: return "per head";
    case QkNorm::whole: return "whole";
    case QkNorm::l2: return "l2";
  }
  return "";
}

const char* name_of(RouterConfig::Score s) {
  switch (s) {
    case RouterConfig::Score::softmax: return "softmax";
    case RouterConfig::Score::sigmoid: return "sigmoid";
    case RouterConfig::Score::chosen_softmax: return "softmax of the chosen";
    case RouterConfig::Score::chosen_sigmoid: return "sigmoid of the chosen";
    case RouterConfig::Score::sparsemixer: return "sparsemixer";
  }
  return "";
}

const char* pairs(bool interleaved) { return interleaved ? "neighbours" : "halves"; }

std::string row(const Family& f) {
  const std::string norm = std::string(f.norm == NormKind::layer ? "layer" : "rms") + (f.norm_plus_one ? ", weight - 1 stored" : "");
  const std::string rope = f.rope_interleaved == f.gguf_interleaved ? pairs(f.rope_interleaved) : fmt::format("{}; in GGUF {}", pairs(f.rope_interleaved), pairs(f.gguf_interleaved));
  const std::string renorm = !f.renorm ? "" : f.renorm_epsilon > 0 ? fmt::format("yes, eps {:g}", f.renorm_epsilon) : "yes";
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", f.name, norm, name_of(f.placement), name_of(f.qk_norm), rope, f.dense ? "" : name_of(f.score),
                     f.choice_bias ? "yes" : "", renorm);
}

TEST(Families, TheTableOfSwitchesIsThatOfTheCode) {
  std::string table = "| family | norm | placement | QK-norm | rope pairs | score | bias | renorm |\n|---|---|---|---|---|---|---|---|\n";
  for (const Family& family : families()) table += row(family);
  const std::string page = read_text_file(std::filesystem::path(MOIETY_SOURCE_DIR) / "docs/families.md");
  EXPECT_NE(page.find("\n\n" + table + "\n"), std::string::npos) << "docs/families.md should have this table:\n\n" << table;
}

}  // namespace
}  // namespace moiety
