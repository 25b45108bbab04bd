// moiety run: text from a model, once or in conversation.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/conversation.h"
#include "apps/standard_input.h"
#include "base/file.h"
#include "base/memory.h"

namespace moiety {
namespace {

using json = nlohmann::ordered_json;

void parse_biases(RunOptions& o) {
  for (const std::string& text : o.biases) {
    const size_t equals = text.find('=');
    char* end = nullptr;
    const float value = equals == std::string::npos ? 0 : std::strtof(text.c_str() + equals + 1, &end);
    if (equals == std::string::npos || end == text.c_str() + equals + 1 || *end) throw UsageError("--logit-bias {}: write ID=VALUE, for example 42=-5", text);
    o.generate.sampling.logit_bias.emplace_back(parse_ids(text.substr(0, equals)).at(0), value);
  }
}

json as_json(const Generated& g) {
  const double generated = static_cast<double>(g.tokens.size()) - 1;
  json out;
  out["text"] = g.text;
  out["tokens"] = g.tokens;
  out["finish_reason"] = g.finish_reason;
  out["prompt_tokens"] = g.prompt_tokens;
  out["timings"] = {{"prompt_tokens_per_s", static_cast<double>(g.prompt_tokens) / std::max(g.prompt_s, 1e-9)},
                    {"tokens_per_s", generated > 0 ? generated / std::max(g.generate_s, 1e-9) : 0.0},
                    {"first_token_ms", g.prompt_s * 1000}};
  out["memory"] = {{"peak_bytes", peak_memory_bytes()}};
  out["experts"] = {{"read_bytes", 0}, {"hit_rate", 1.0}};  // all resident
  return out;
}

int complete(const RunOptions& o, Session& session, const Tokenizer& tokenizer) {
  Conversation conversation(o, session, tokenizer);
  LoadCounter load;
  const Generated g = conversation.answer(o.prompt, o.json ? [](const std::string&) {} : print_piece, load);
  if (o.json) fmt::print("{}\n", as_json(g).dump(-1, ' ', false, json::error_handler_t::replace));
  else print_piece("\n");
  std::fflush(stdout);
  if (!o.quiet && !o.json) print_summary(g, load);
  conversation.save();
  return g.finish_reason == "interrupted" ? 130 : 0;
}

// The prompt from wherever it was said to come, and what cannot go together.
void settle(RunOptions& o) {
  if (!o.file.empty() && !o.prompt.empty()) throw UsageError("a PROMPT and -f {}: give one of the two", o.file);
  if (o.interactive && o.json) throw UsageError("--json prints one document, -i holds a conversation: give one of the two");
  if (o.interactive && o.raw) throw UsageError("--raw leaves out the chat template, -i needs one: give one of the two");
  if (!o.file.empty()) o.prompt = read_text_file(o.file);
  else if (o.prompt == "-") o.prompt = read_all_input();
  const bool continues = !o.session_file.empty() && std::filesystem::exists(o.session_file);
  if (o.prompt.empty() && !o.interactive && !continues) throw UsageError("the prompt is empty; give a PROMPT, -f FILE, or -i for a conversation");
  parse_biases(o);
}

}  // namespace

void print_piece(const std::string& piece) {
  fmt::print("{}", piece);
  std::fflush(stdout);
}

void print_summary(const Generated& g, const LoadCounter& load) {
  const double generated = static_cast<double>(g.tokens.size()) - 1;
  std::fprintf(stderr, "\n%zu prompt tokens at %.1f/s, %zu tokens at %.1f/s, first after %.0f ms (%s)\n", g.prompt_tokens,
               static_cast<double>(g.prompt_tokens) / std::max(g.prompt_s, 1e-9), g.tokens.size(), generated > 0 ? generated / std::max(g.generate_s, 1e-9) : 0.0,
               g.prompt_s * 1000, g.finish_reason.c_str());
  if (load.sites().empty()) return;
  const bool colours = isatty(2) && !std::getenv("NO_COLOR");
  std::fprintf(stderr, "experts by layer, brighter where one works more:\n%s", heat_map(load.sites(), 64, colours).c_str());
}

void add_run(Commands& commands) {
  auto o = std::make_shared<RunOptions>();
  SamplingOptions& s = o->generate.sampling;
  CLI::App* verb = commands.app.add_subcommand("run", "generate text, or chat with -i");
  add_model_options(*verb, *o);
  verb->add_option("PROMPT", o->prompt, "the prompt; - reads stdin");
  verb->add_option("-f,--file", o->file, "a file with the prompt (default: PROMPT)");
  verb->add_flag("-i,--interactive", o->interactive, "a conversation: history, line editing, Ctrl-C stops the answer");
  verb->add_option("-n,--tokens", o->generate.max_tokens, "tokens at most (default 0: until the model ends or the context is full)");
  verb->add_option("--temp", s.temperature, fmt::format("temperature; 0 is greedy (default {})", s.temperature));
  verb->add_option("--top-k", s.top_k, fmt::format("only the k most probable tokens; 0 is all (default {})", s.top_k));
  verb->add_option("--top-p", s.top_p, fmt::format("only the fewest tokens of this mass (default {})", s.top_p));
  verb->add_option("--min-p", s.min_p, fmt::format("only tokens of this share of the largest probability (default {})", s.min_p));
  verb->add_option("--typical", s.typical, "only the typical tokens of this mass (default 1: all)");
  verb->add_option("--repeat-penalty", s.repeat_penalty, "divides the logits of the last 64 tokens (default 1)");
  verb->add_option("--presence-penalty", s.presence_penalty, "subtracted from logits of tokens seen (default 0)");
  verb->add_option("--frequency-penalty", s.frequency_penalty, "subtracted for each time a token was seen (default 0)");
  verb->add_option("--logit-bias", o->biases, "ID=VALUE added to a token's logit, -inf bans it; may be repeated (default: none)")->allow_extra_args(false);
  verb->add_option("--stop", o->generate.stops, "a text that ends the answer; may be repeated (default: none)")->allow_extra_args(false);
  verb->add_option("--session", o->session_file, "a file that keeps the sequence, with FILE.messages.json beside it: continued if it exists, written at the end (default: none)");
  verb->add_flag("--raw", o->raw, "the prompt as it is, without the model's chat template");
  verb->add_option("--system", o->system, "system message (default: the template's own)");
  verb->footer("Example: moiety run model.gguf \"Why is the sky blue?\" -n 100 --temp 0.7");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      o->quiet = commands.quiet;
      settle(*o);
      o->generate.sampling.seed = o->seed;
      const auto model = open_model(*o, commands.quiet);
      const auto tokenizer = load_tokenizer(model->path);
      o->generate.end_ids = tokenizer->end_ids();
      for (int32_t id : model->config.end_ids) o->generate.end_ids.push_back(id);
      // Stages that look across the batch see the prompt as it was given, not in pieces.
      o->generate.piece = o->allow_batch_dependent ? 0 : std::max<size_t>(o->chunk, 512);
      Session session(model, session_options(*o));
      return o->interactive ? chat(*o, session, *tokenizer) : complete(*o, session, *tokenizer);
    };
  });
}

}  // namespace moiety
