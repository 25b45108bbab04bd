// All stages, in one list: what `moiety routing list` prints, what the parser checks, what builds a stage.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "routing/arguments.h"
#include "routing/stage.h"

namespace moiety {

// The site that a stage is built for.
struct StageSite {
  uint32_t index = 0, layer = 0;
  uint32_t experts = 0;  // that the router scores
  SiteTensors tensors;
  uint32_t ids = 0;      // of the bank, where they outnumber the router's rows
  uint32_t all_ids() const { return experts > ids ? experts : ids; }
};

using AnyStage = std::variant<std::unique_ptr<SourceStage>, std::unique_ptr<RowStage>, std::unique_ptr<CohortStage>>;

struct StageInfo {
  std::string_view name;
  std::string_view signature;  // "p:fraction, max:count=all"; see Arguments
  std::string_view meaning;
  std::string_view source;  // the paper
  bool selects = false;     // chooses among candidates: a pipeline needs one
  bool is_source = false;  // fills the candidates: a pipeline has one, and it stands first
  Mark mark = Mark::row;
  AnyStage (*build)(const Arguments&, const StageSite&);  // null: the engine's own part
};

std::span<const StageInfo> stages();
const StageInfo* find_stage(std::string_view name);
// The registered name that is most like this one.
std::string_view nearest_stage(std::string_view name);
std::string_view mark_name(Mark mark);

}  // namespace moiety
