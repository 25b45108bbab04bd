// What `moiety run` was asked for, and what its two forms share.
#pragma once
#include <string>
#include <vector>

#include "apps/verbs.h"
#include "decode/generate.h"
#include "observe/load.h"

namespace moiety {

struct RunOptions : ModelOptions {
  std::string prompt, file, session_file, system;
  bool interactive = false, raw = false, quiet = false;
  GenerateOptions generate;
  std::vector<std::string> biases;
};

// Speed, and which experts worked, on stderr.
void print_summary(const Generated& generated, const LoadCounter& load);
// Writes an answer as it comes, on stdout.
void print_piece(const std::string& piece);

// `run -i`. The exit status.
int chat(const RunOptions& options, Session& session, const Tokenizer& tokenizer);

}  // namespace moiety
