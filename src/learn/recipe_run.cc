#include "learn/recipe_run.h"

#include <algorithm>
#include <fstream>

#include <xxhash.h>

#include "base/child.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/progress.h"
#include "learn/checkpoint.h"
#include "learn/description.h"
#include "learn/recipe_text.h"
#include "learn/run.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

struct OneRun {
  const RecipeArm* arm;
  uint64_t seed, steps;
  std::string name, key, description;  // "top-1-3"; a hash; TOML
};

void write_text(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

// Seed after seed, so that what is there after an interruption can be paired.
std::vector<OneRun> runs_of(const Recipe& recipe, const RecipeText& text, const RecipeRunOptions& o) {
  const uint64_t seeds = o.seeds ? o.seeds : o.quick ? recipe.quick_seeds : recipe.seeds;
  std::vector<OneRun> out;
  for (uint64_t seed = 1; seed <= seeds; seed++)
    for (const RecipeArm& arm : recipe.arms) {
      nlohmann::json description = recipe.description(arm, seed, o.quick);
      const std::string keyed = description.dump() + text.fingerprint;
      description["data"].update(text.data);
      description["data"]["cache"] = fs::absolute(o.out / "tokens").string();
      const nlohmann::json steps = description.value("steps", nlohmann::json());
      out.push_back({&arm, seed, steps.is_number_integer() ? steps.get<uint64_t>() : 0, fmt::format("{}-{}", arm.name, seed),
                     fmt::format("{:016x}", XXH3_64bits(keyed.data(), keyed.size())), description_text(description)});
    }
  return out;
}

// One description of each arm, as the trainer would refuse it.
void check_arms(const std::vector<OneRun>& runs, const fs::path& out) {
  for (const OneRun& run : runs) {
    if (run.seed != 1) continue;
    const fs::path config = out / (run.name + ".checked.toml");
    write_text(config, run.description);
    try {
      train({.config = config, .folder = {}, .quiet = true, .only_check = true});
    } catch (const UsageError& e) {
      throw UsageError("arm {}: {}", run.arm->name, e.what());
    } catch (const Error& e) {
      throw Error("arm {}: {}", run.arm->name, e.what());
    }
    fs::remove(config);
  }
}

class Results {
 public:
  explicit Results(fs::path file) : file_(std::move(file)) {
    std::ifstream in(file_);
    for (std::string line; std::getline(in, line);)
      if (nlohmann::json one = nlohmann::json::parse(line, nullptr, false); one.is_object()) lines_.push_back(std::move(one));
    write();  // what can't be written is known before hours of work
  }
  const nlohmann::json* find(const OneRun& run) const {
    for (const nlohmann::json& line : lines_)
      if (line.value("arm", "") == run.arm->name && line.value("seed", uint64_t{0}) == run.seed && line.value("key", "") == run.key) return &line;
    return nullptr;
  }
  void add(const OneRun& run, nlohmann::json summary) {
    lines_.push_back({{"arm", run.arm->name}, {"seed", run.seed}, {"key", run.key}, {"summary", std::move(summary)}});
    write();
  }

 private:
  void write() const {
    std::string text;
    for (const nlohmann::json& line : lines_) text += line.dump() + "\n";
    write_text(file_, text);
  }

  fs::path file_;
  std::vector<nlohmann::json> lines_;
};

// Steps that a run has done, by the last line of its metrics.
uint64_t steps_done(const fs::path& metrics) {
  std::ifstream in(metrics, std::ios::binary | std::ios::ate);
  if (!in) return 0;
  const std::streamoff size = in.tellg(), tail = std::min<std::streamoff>(size, 1 << 16);
  std::string text(static_cast<size_t>(tail), '\0');
  in.seekg(size - tail);
  in.read(text.data(), tail);
  const std::string_view begin = "{\"step\":";
  const size_t at = text.rfind(begin);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + begin.size(), nullptr, 10);
}

std::string last_line(const fs::path& log) {
  std::ifstream in(log);
  std::string out = "it said nothing";
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) out = line;
  return out;
}

nlohmann::json train_one(const OneRun& run, const RecipeRunOptions& o, const std::function<void(uint64_t)>& on_steps) {
  const fs::path folder = o.out / run.name, config = o.out / (run.name + ".toml"), log = o.out / (run.name + ".log");
  // A run that was begun by the same description goes on; the remains of another one go.
  const bool same = fs::exists(config) && read_text_file(config) == run.description;
  const auto summary = [&] { return parse_json(read_text_file(folder / "summary.json"), (folder / "summary.json").string()); };
  if (same && fs::exists(folder / "summary.json")) return summary();
  const bool goes_on = same && newest_checkpoint(folder);
  if (!goes_on) fs::remove_all(folder);
  write_text(config, run.description);
  std::vector<std::string> words{"train", "--quiet"};
  if (goes_on) words.insert(words.end(), {"--resume", folder.string()});
  else words.insert(words.end(), {config.string(), "--out", folder.string()});
  if (o.threads) words.insert(words.end(), {"--threads", std::to_string(o.threads)});
  const int status = run_child(o.program, words, log, [&] { on_steps(steps_done(folder / "metrics.jsonl")); });
  if (status != 0)
    throw Error("{}: the run failed with status {}: {}; `moiety recipe run` again goes on from the runs that are finished", folder.string(), status, last_line(log));
  return summary();
}

void remove_checkpoints(const fs::path& folder) {
  while (const auto checkpoint = newest_checkpoint(folder)) fs::remove_all(*checkpoint);
}

}  // namespace

RecipeResults run_recipe(const Recipe& recipe, const RecipeRunOptions& o) {
  const RecipeText text = find_recipe_text(o.text, o.tokenizer);
  const std::vector<OneRun> runs = runs_of(recipe, text, o);
  fs::create_directories(o.out);
  const FolderLock lock(o.out, "another `moiety recipe run`");
  check_arms(runs, o.out);
  Results results(o.out / "results.jsonl");
  uint64_t all = 0, done = 0;
  for (const OneRun& run : runs) all += results.find(run) ? 0 : run.steps;
  Progress progress("recipe " + recipe.slug, "steps", all, progress_on_stderr(o.quiet));
  for (const OneRun& run : runs) {
    throw_if_interrupted();
    if (results.find(run)) continue;
    results.add(run, train_one(run, o, [&](uint64_t steps) { progress.set(done + std::min(steps, run.steps), all); }));
    done += run.steps;
    if (run.seed > 1) remove_checkpoints(o.out / run.name);
  }
  RecipeResults out{{}, text.in_words};
  for (const RecipeArm& arm : recipe.arms)
    for (const OneRun& run : runs)
      if (run.arm == &arm) out.runs.push_back({arm.name, run.seed, results.find(run)->at("summary")});
  return out;
}

}  // namespace moiety
