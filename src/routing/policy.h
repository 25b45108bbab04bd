// Routing text: rules for layers, each a pipeline of stages.
//
//   text   = rule { ";" rule }
//   rule   = [ "all:" | "layers" 0-5,7 ":" ] stage { "|" stage }
//   stage  = "@model" | name [ "(" argument { "," argument } ")" ]
//   argument = [ name "=" ] value
//
// The first rule that matches a layer holds; a layer that none matches follows the model's own. `@model` stands for the model's own
// pipeline: stages before it edit its candidates, stages after it edit its plan.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "routing/pipeline.h"

namespace moiety {

// Which stages a text may name: those that see their row alone; those that look beyond it, too; and those for training, too.
enum class Allow : uint8_t { rows, batch, training };

class RoutingPolicy {
 public:
  // Throws RoutingTextError, with column and caret.
  static RoutingPolicy parse(std::string_view text, Allow allow = Allow::rows);
  static RoutingPolicy model() { return parse("@model"); }

  // The pipeline for a site; `model_text` is what @model stands for there.
  Pipeline bind(const StageSite& site, std::string_view model_text) const;

  // The same without the stages for training: what a trained model is used with.
  RoutingPolicy in_use() const;

  // The same policy as text; parses back to itself.
  std::string text() const;
  // In words, a line for each rule.
  std::string explain() const;

 private:
  struct Call {
    std::string name;
    std::vector<Argument> arguments;
    size_t at = 0;
    std::string text() const;
  };
  struct Rule {
    std::vector<std::pair<uint32_t, uint32_t>> layers;  // empty: all
    std::vector<Call> calls;
    bool holds(uint32_t layer) const;
  };
  friend class RoutingParser;
  std::string source_;
  std::vector<Rule> rules_;
};

}  // namespace moiety
