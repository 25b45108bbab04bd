// moiety eval: perplexity, multiple choice, comparison.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "base/file.h"
#include "base/progress.h"
#include "observe/evaluate.h"

namespace moiety {
namespace {

using json = nlohmann::ordered_json;

struct Options : ModelOptions {
  std::string file, other, other_routing;
  size_t window = 512, chunks = 0, limit = 0;
};

// Windows set the context; --context of these verbs is theirs.
SessionOptions options_for(const Options& o) {
  SessionOptions s = session_options(o);
  s.context = static_cast<uint32_t>(o.window);
  return s;
}

// As llama.cpp's tool reads a file: special tokens that are written in it are ordinary text.
std::vector<int32_t> ids_of(const Tokenizer& tokenizer, const std::string& file) { return tokenizer.encode(read_text_file(file), {true, false}); }

json as_json(const Perplexity& p) {
  return {{"perplexity", p.perplexity}, {"perplexity_stderr", p.stderr_}, {"nll_per_token", p.nll_per_token}, {"bits_per_byte", p.bits_per_byte},
          {"tokens", p.tokens}, {"context", p.context}, {"chunks", p.chunks}};
}

int run_perplexity(Options& o, bool quiet) {
  if (o.context) o.window = o.context;
  const auto model = open_model(o, quiet);
  const auto tokenizer = load_tokenizer(model->path);
  Session session(model, options_for(o));
  const Perplexity p = perplexity(session, *tokenizer, ids_of(*tokenizer, o.file), o.window, o.chunks, show_progress("evaluating", "tokens", quiet));
  if (o.json) fmt::print("{}\n", as_json(p).dump(2));
  else fmt::print("perplexity {:.4f} ± {:.4f}, {:.4f} bits per byte, {} tokens in {} windows of {}\n", p.perplexity, p.stderr_, p.bits_per_byte, p.tokens, p.chunks, p.context);
  return 0;
}

int run_choice(Options& o, bool quiet) {
  const std::vector<ChoiceQuestion> questions = parse_choices(read_text_file(o.file), o.file, o.limit);
  for (const ChoiceQuestion& q : questions) o.sequences = std::max(o.sequences, 1 + q.choices.size());  // what they share, and each
  const auto model = open_model(o, quiet);
  const auto tokenizer = load_tokenizer(model->path);
  Session session(model, session_options(o));
  const ChoiceScores s = choose(session, *tokenizer, questions, show_progress("evaluating", "tokens", quiet));
  if (o.json) fmt::print("{}\n", json{{"accuracy", s.accuracy}, {"accuracy_norm", s.accuracy_norm}, {"interval95", {s.low, s.high}}, {"chance", s.chance}, {"n", s.n}}.dump(2));
  else fmt::print("accuracy {:.1f}%, by length {:.1f}% [{:.1f}, {:.1f}], chance {:.1f}%, {} questions\n", s.accuracy * 100, s.accuracy_norm * 100, s.low * 100, s.high * 100, s.chance * 100, s.n);
  return 0;
}

int run_compare(Options& o, bool quiet) {
  if (o.context) o.window = o.context;
  o.kept_logits = o.window / 2;
  const auto model = open_model(o, quiet);
  ModelOptions second = o;
  second.model = o.other.empty() ? o.model : o.other;
  if (!o.other_routing.empty()) second.routing = o.other_routing;
  const auto other = o.other.empty() ? model : open_model(second, quiet);
  const auto tokenizer = load_tokenizer(model->path);
  Session a(model, options_for(o));
  SessionOptions options = session_options(second);
  options.context = static_cast<uint32_t>(o.window);
  Session b(other, options);
  const Comparison c = compare(a, b, *tokenizer, ids_of(*tokenizer, o.file), o.window, o.chunks, show_progress("evaluating", "tokens", quiet));
  if (o.json)
    fmt::print("{}\n", json{{"kl_mean", c.kl_mean}, {"kl_max", c.kl_max}, {"top1_agreement", c.top1_agreement}, {"tokens", c.tokens},
                            {"a", as_json(c.a)}, {"b", as_json(c.b)}}.dump(2));
  else
    fmt::print("KL {:.6f} nats a token (largest {:.4f}), same first choice {:.2f}%, perplexity {:.4f} and {:.4f}, {} tokens\n", c.kl_mean, c.kl_max,
               c.top1_agreement * 100, c.a.perplexity, c.b.perplexity, c.tokens);
  return 0;
}

}  // namespace

void add_eval(Commands& commands) {
  CLI::App* verb = commands.app.add_subcommand("eval", "perplexity of a text, multiple choice, comparison of two models");
  verb->require_subcommand(1);
  verb->footer("Example: moiety eval perplexity model.gguf --file text.txt");
  auto add = [&](const char* name, const char* what, const char* example, int (*run)(Options&, bool)) {
    auto o = std::make_shared<Options>();
    CLI::App* sub = verb->add_subcommand(name, what);
    add_model_options(*sub, *o);
    sub->footer(std::string("Example: ") + example);
    sub->callback([o, run, &commands] { commands.chosen = [o, run, &commands] { return run(*o, commands.quiet); }; });
    return std::pair(sub, o);
  };
  {
    auto [sub, o] = add("perplexity", "llama.cpp's protocol: windows of --context (default 512) tokens, the second half of each scored",
                        "moiety eval perplexity model.gguf --file text.txt --context 512", run_perplexity);
    sub->add_option("--file", o->file, "the text")->required();
    sub->add_option("--chunks", o->chunks, "windows at most (default: all)");
  }
  {
    auto [sub, o] = add("choice", "multiple choice by log-likelihood, plain and divided by length",
                        "moiety eval choice model.gguf --file arc_easy.jsonl --limit 200", run_choice);
    sub->add_option("--file", o->file, "JSON lines: {\"query\": text, \"choices\": [texts], \"gold\": index of the right one}; a space joins query and choice")->required();
    sub->add_option("--limit", o->limit, "questions at most (default: all)");
  }
  {
    auto [sub, o] = add("compare", "KL divergence and agreement of two models, or of two settings of one",
                        "moiety eval compare model.gguf small.gguf --file text.txt", run_compare);
    sub->add_option("OTHER", o->other, "the second model (default: the first with --other-routing)");
    sub->add_option("--other-routing", o->other_routing, "routing text of the second (default: that of the first)");
    sub->add_option("--file", o->file, "the text")->required();
    sub->add_option("--chunks", o->chunks, "windows at most (default: all)");
  }
}

}  // namespace moiety
