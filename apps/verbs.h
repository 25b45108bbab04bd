// The verbs of the command line: one file each adds its subcommand to the parser. What to do is run after parsing.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/load.h"
#include "text/id_lists.h"

namespace moiety {

struct Commands {
  CLI::App& app;
  std::function<int()> chosen;  // set by the verb that was called; gives the exit status
  bool quiet = false;
  char** arguments = nullptr;  // of the process
};

// Options that most verbs share.
struct ModelOptions {
  std::string model;
  size_t threads = 0;
  std::string memory, compute = "auto", routing = "@model", cache = "f16";
  uint32_t context = 0;
  size_t chunk = 512;
  uint64_t seed = 0;
  size_t kept_logits = 0;  // rows of them that the verb keeps
  size_t sequences = 1;    // that it keeps at once
  bool check = false, allow_batch_dependent = false, json = false;
};

// Adds MODEL and the common options to a verb. The cache is f32 where the arithmetic is (--compute f32) and nothing else was said.
void add_model_options(CLI::App& verb, ModelOptions& options);
std::shared_ptr<const Model> open_model(const ModelOptions& options, bool quiet);
SessionOptions session_options(const ModelOptions& options);
// MODEL as the user wrote it: a path, or the bare name of a model in models/.
std::filesystem::path find_model(const std::string& name);
struct ModelAtHand {
  std::string name;
  std::filesystem::path path;
};
std::vector<ModelAtHand> models_at_hand();  // by name

// A JSON file that holds a list of id lists.
std::vector<std::vector<int32_t>> read_id_lists(const std::filesystem::path& path);

void add_logits(Commands& commands);
void add_inspect(Commands& commands);
void add_routing(Commands& commands);
void add_tokenize(Commands& commands);
void add_run(Commands& commands);
void add_bench(Commands& commands);
void add_eval(Commands& commands);
void add_models(Commands& commands);
void add_completion(Commands& commands);
void add_man(Commands& commands);
void add_trace(Commands& commands);
void add_routes(Commands& commands);
void add_convert(Commands& commands);
void add_pack(Commands& commands);
void add_upcycle(Commands& commands);
void add_train(Commands& commands);
void add_recipe(Commands& commands);

}  // namespace moiety
