// Arguments of a stage as they stand in a routing text, checked against the stage's signature.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace moiety {

// A wrong routing text. The message is complete: the text, a caret under the character, the 1-based column, what was expected.
class RoutingTextError : public UsageError {
 public:
  RoutingTextError(std::string_view text, size_t at, const std::string& reason)
      : UsageError("routing text, column {}: {}\n  {}\n  {}^", at + 1, reason, text, std::string(at, ' ')) {}
};

struct Argument {
  std::string name;   // "k" in k=4; empty if it has none
  std::string value;
  size_t at = 0;      // where it stands in the text
};

// "3:17", "17", "3:0-7": a layer (or any) and a range of experts.
struct ExpertRange {
  int64_t layer = -1;  // -1: any
  uint32_t first = 0, last = 0;
  bool holds(uint32_t in_layer, uint32_t expert) const {
    return (layer < 0 || layer == in_layer) && expert >= first && expert <= last;
  }
};

// False if the text is none of these.
bool parse_range(std::string_view text, ExpertRange& out);

// What a stage's build function reads its parameters from. Names and kinds are those of the signature:
//   k:count   p:fraction   x:number   mode:max|sum2   experts:list (or a file)        with "=default" where it may be left out
class Arguments {
 public:
  // Checks number, names and kinds against the signature. `text` is the whole routing text, for messages.
  Arguments(std::string_view text, std::string_view stage, size_t at, std::vector<Argument> given, std::string_view signature);

  uint32_t count(std::string_view name) const;  // "all" is UINT32_MAX
  double number(std::string_view name) const;
  const std::string& word(std::string_view name) const;
  std::vector<ExpertRange> experts(std::string_view name) const;

 private:
  struct Parameter {
    std::string name, kind, value;
    bool optional = false, given = false;
    size_t at = 0;
  };
  const Parameter& parameter(std::string_view name) const;
  void check(const Parameter& parameter) const;
  void add_to_list(const Argument& argument);

  std::string text_;
  std::vector<Parameter> parameters_;
  std::vector<ExpertRange> list_;  // of a `list` parameter
};

}  // namespace moiety
