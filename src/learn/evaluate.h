// Bits per byte of held-out text, by domain.
#pragma once
#include <string>
#include <vector>

#include "learn/corpus.h"
#include "learn/model.h"

namespace moiety {

// Who served the tokens of a site's windows, those that were predicted.
struct SiteCounts {
  std::string name;
  std::vector<std::vector<int64_t>> windows;  // by window, by expert
};

struct DomainResult {
  std::string domain;
  double bits_per_byte = 0, nll_per_token = 0;
  uint64_t bytes = 0, tokens = 0;
  std::vector<std::vector<int64_t>> load;  // by site, by expert: tokens served
  std::vector<SiteCounts> sites;           // the same by window
  std::vector<float> token_nll, token_experts;  // [tokens] of each, its loss and the choices of all sites
};

// `windows_at_once`: a pass's size; it changes speed and memory, not results beyond rounding.
std::vector<DomainResult> evaluate(LanguageModel& model, const std::vector<Corpus::Domain>& domains, size_t windows_at_once, Pass& pass);

}  // namespace moiety
