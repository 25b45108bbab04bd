// A training run, from its description to its last checkpoint.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "learn/evaluate.h"

namespace moiety {

struct RunOptions {
  std::filesystem::path config;                 // TOML; with `resume` the one in the checkpoint is taken
  std::optional<std::filesystem::path> folder;  // of the run; else the description's `run`, else the configuration's name without .toml
  bool resume = false;                          // `folder` holds a run that goes on
  size_t threads = 0;                           // 0: default_thread_count()
  std::string device = "cpu";                   // "cuda": the graph is computed there, in libtorch's own operations; the optimiser stays here
  bool quiet = false;
  bool only_check = false;                      // finds what is wrong with the description, and does no more
};

struct RunResult {
  std::filesystem::path folder, model;  // model: a Hugging Face directory
  uint64_t steps = 0, tokens = 0;
  size_t parameters = 0, active_parameters = 0;
  double seconds = 0, tokens_per_s = 0;  // of this process: a run that went on counts from there; the latter without evaluations
  std::vector<DomainResult> held_out;
};

// Everything that can be wrong with the description is found before any work. An Error if the loss stops being a number: it names the step,
// and the last checkpoint stays.
RunResult train(const RunOptions& options);

}  // namespace moiety
