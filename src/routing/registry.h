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
  uint32_t experts = 0;  // ids of the bank
  SiteTensors tensors;
};

using AnyStage = std::variant<std::unique_ptr<SourceStage>, std::unique_ptr<RowStage>, std::unique_ptr<CohortStage>>;

struct StageInfo {
  std::string_view name;
  std::string_view signature;  // "p:fraction, max:count=all"; see Arguments
  std::string_view meaning;
  std::string_view source;  // the paper
  bool selects = false;     // chooses among candidates: a pipeline needs one
  Mark mark = Mark::row;
  AnyStage (*build)(const Arguments&, const StageSite&);
};

std::span<const StageInfo> stages();
const StageInfo* find_stage(std::string_view name);
// The registered name that is most like this one.
std::string_view nearest_stage(std::string_view name);
std::string_view mark_name(Mark mark);

}  // namespace moiety
