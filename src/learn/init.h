// What weights are before training, and how fast they move for it: [model] init.
#pragma once
#include "learn/part.h"

namespace moiety {

// What an initialisation looks at.
struct InitSite {
  int64_t d = 0;
  uint64_t blocks = 0;
  const Table& table;  // [model]
};

struct InitInfo {
  std::string_view name, meaning, source;
  // Changes what was declared: deviations, means, rates.
  void (*apply)(const InitSite& site, std::span<Parameter> parameters);
};
std::span<const InitInfo> inits();

}  // namespace moiety
