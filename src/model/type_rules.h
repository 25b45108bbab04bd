// Which tensor gets which type, as a file says it: a rule a line, the first that matches holds.
//
//   # what stands before the blank names tensors, what stands after it is a type
//   blk.*.ffn_down_exps.weight    q6_k      a glob over names of the new file
//   /attn_(q|k)\.weight$/         q8_0      a regular expression between slashes, found anywhere in the name
//   0-5:*                         q5_k      all experts of layers 0 to 5
//   3:17                          f16       expert 17 of layer 3
//   7                             q8_0      every matrix of layer 7
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "formats/tensor_type.h"

namespace moiety {

// What a rule is asked about. `layer` and `expert`: nothing where the tensor belongs to none.
struct RuledMatrix {
  std::string_view name;  // of the tensor in the new file
  std::optional<uint32_t> layer, expert;
};

class TypeRules {
 public:
  // Errors name file and line.
  static TypeRules read(const std::filesystem::path& path);
  static TypeRules parse(const std::string& text, const std::string& origin);

  struct Answer {
    TensorType type;
    size_t line;
  };
  // The first rule that matches; it counts as used.
  std::optional<Answer> find(const RuledMatrix& matrix);
  // An Error for the first rule that never matched: a name with a slip in it.
  void check_all_used() const;
  const std::string& origin() const { return origin_; }

 private:
  struct Range {
    uint32_t first, last;
    bool holds(uint32_t i) const { return i >= first && i <= last; }
  };
  struct Rule {
    size_t line;
    std::string pattern;
    TensorType type;
    std::optional<std::regex> regex;
    std::optional<Range> layers, experts;
    bool by_place = false, used = false;  // by_place: layers, and perhaps experts, instead of a name
    bool matches(const RuledMatrix& matrix) const;
  };
  static std::optional<Range> read_range(std::string_view text);
  Rule read_rule(const std::string& pattern, const std::string& type, size_t line) const;

  std::string origin_;
  std::vector<Rule> rules_;
};

}  // namespace moiety
