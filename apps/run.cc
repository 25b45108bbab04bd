// moiety run: text from a model, once or in conversation.
#include <histedit.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "decode/generate.h"
#include "observe/load.h"
#include "text/chat.h"

namespace moiety {
namespace {

using json = nlohmann::ordered_json;

struct Options : ModelOptions {
  std::string prompt, file, session_file, system;
  bool interactive = false, raw = false;
  size_t max_tokens = 0;
  GenerateOptions generate;
  std::vector<std::string> biases;
};

uint64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

void parse_biases(Options& o) {
  for (const std::string& text : o.biases) {
    const size_t equals = text.find('=');
    char* end = nullptr;
    const float value = equals == std::string::npos ? 0 : std::strtof(text.c_str() + equals + 1, &end);
    if (equals == std::string::npos || end == text.c_str() + equals + 1 || *end) throw UsageError("--logit-bias {}: write ID=VALUE, for example 42=-5", text);
    o.generate.sampling.logit_bias.emplace_back(parse_ids(text.substr(0, equals)).at(0), value);
  }
}

void print_speed(const Generated& g, const LoadCounter& load) {
  const double generated = static_cast<double>(g.tokens.size()) - 1;
  std::fprintf(stderr, "\n%zu prompt tokens at %.1f/s, %zu tokens at %.1f/s, first after %.0f ms (%s)\n", g.prompt_tokens,
               static_cast<double>(g.prompt_tokens) / std::max(g.prompt_s, 1e-9), g.tokens.size(), generated > 0 ? generated / std::max(g.generate_s, 1e-9) : 0.0,
               g.prompt_s * 1000, g.finish_reason.c_str());
  if (load.sites().empty()) return;
  const bool colours = isatty(2) && !std::getenv("NO_COLOR");
  std::fprintf(stderr, "experts by layer, brighter where one works more:\n%s", heat_map(load.sites(), 64, colours).c_str());
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
  out["memory"] = {{"peak_bytes", peak_bytes()}};
  out["experts"] = {{"read_bytes", 0}, {"hit_rate", 1.0}};  // all resident
  return out;
}

// Line editing with history, by libedit; a plain read where stdin is not a terminal. False at the end of input.
class LineReader {
 public:
  LineReader() {
    if (!isatty(0)) return;
    edit_ = el_init("moiety", stdin, stderr, stderr);
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, 1000);
    el_set(edit_, EL_PROMPT, +[](EditLine*) { return const_cast<char*>("> "); });
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 0);
    el_set(edit_, EL_HIST, history, history_);
  }
  ~LineReader() {
    if (!edit_) return;
    history_end(history_);
    el_end(edit_);
  }
  bool read(std::string& line) {
    if (!edit_) return static_cast<bool>(std::getline(std::cin, line));
    int count = 0;
    const char* text = el_gets(edit_, &count);
    if (!text || count <= 0) return false;
    line.assign(text, static_cast<size_t>(count));
    while (!line.empty() && line.back() == '\n') line.pop_back();
    HistEvent event;
    if (!line.empty()) history(history_, &event, H_ENTER, line.c_str());
    return true;
  }

 private:
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
};

int chat(Options& o, Session& session, const Tokenizer& tokenizer, bool quiet) {
  const ChatFormat format(tokenizer);
  json messages = json::array();
  if (!o.system.empty()) messages.push_back({{"role", "system"}, {"content", o.system}});
  const uint32_t sequence = session.add_sequence("", o.seed);
  LineReader reader;
  if (!quiet) std::fprintf(stderr, "An empty line or Ctrl-D ends the conversation; Ctrl-C stops an answer.\n");
  std::string line = o.prompt;
  for (;;) {
    clear_interrupt();
    if (line.empty() && (!reader.read(line) || line.empty())) return 0;
    messages.push_back({{"role", "user"}, {"content", line}});
    line.clear();
    const std::string text = format.prompt(messages, nullptr);
    const std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = !format.has_template()});
    // What the sequence already holds of this prompt is not computed again.
    const auto held = session.ids(sequence);
    size_t same = 0;
    while (same < held.size() && same + 1 < ids.size() && held[same] == ids[same]) same++;
    session.truncate(sequence, same);
    LoadCounter load;
    const Generated g = generate(session, sequence, tokenizer, std::span(ids).subspan(same), o.generate,
                                 [](const std::string& piece) { fmt::print("{}", piece), std::fflush(stdout); }, &load);
    fmt::print("\n");
    std::fflush(stdout);
    if (!quiet) print_speed(g, load);
    messages.push_back({{"role", "assistant"}, {"content", g.text}});
  }
}

int complete(Options& o, Session& session, const Tokenizer& tokenizer, bool quiet) {
  const ChatFormat format(tokenizer);
  std::vector<int32_t> ids;
  const bool resumes = !o.session_file.empty() && std::filesystem::exists(o.session_file);
  const uint32_t sequence = resumes ? session.load(o.session_file) : session.add_sequence("", o.seed);
  if (o.raw || resumes || !format.has_template()) {
    ids = tokenizer.encode(o.prompt, {.add_special = !resumes});
  } else {
    json messages = json::array();
    if (!o.system.empty()) messages.push_back({{"role", "system"}, {"content", o.system}});
    messages.push_back({{"role", "user"}, {"content", o.prompt}});
    ids = tokenizer.encode(format.prompt(messages, nullptr), {.add_special = false});
  }
  LoadCounter load;
  const Generated g = generate(session, sequence, tokenizer, ids, o.generate,
                               [&](const std::string& piece) {
                                 if (!o.json) fmt::print("{}", piece), std::fflush(stdout);
                               },
                               &load);
  if (o.json) fmt::print("{}\n", as_json(g).dump(-1, ' ', false, json::error_handler_t::replace));
  else fmt::print("\n");
  std::fflush(stdout);
  if (!quiet && !o.json) print_speed(g, load);
  if (!o.session_file.empty()) session.save(sequence, o.session_file);
  return g.finish_reason == "interrupted" ? 130 : 0;
}

}  // namespace

void add_run(Commands& commands) {
  auto o = std::make_shared<Options>();
  SamplingOptions& s = o->generate.sampling;
  CLI::App* verb = commands.app.add_subcommand("run", "generate text, or chat with -i");
  add_model_options(*verb, *o);
  verb->add_option("PROMPT", o->prompt, "the prompt; - reads stdin");
  verb->add_option("-f,--file", o->file, "a file with the prompt");
  verb->add_flag("-i,--interactive", o->interactive, "a conversation: history, line editing, Ctrl-C stops the answer");
  verb->add_option("-n,--tokens", o->max_tokens, "tokens at most (default 0: until the model ends or the context is full)");
  verb->add_option("--temp", s.temperature, fmt::format("temperature; 0 is greedy (default {})", s.temperature));
  verb->add_option("--top-k", s.top_k, fmt::format("only the k most probable tokens; 0 is all (default {})", s.top_k));
  verb->add_option("--top-p", s.top_p, fmt::format("only the fewest tokens of this mass (default {})", s.top_p));
  verb->add_option("--min-p", s.min_p, fmt::format("only tokens of this share of the largest probability (default {})", s.min_p));
  verb->add_option("--typical", s.typical, "only the typical tokens of this mass (default 1: all)");
  verb->add_option("--repeat-penalty", s.repeat_penalty, "divides the logits of the last 64 tokens (default 1)");
  verb->add_option("--presence-penalty", s.presence_penalty, "subtracted from logits of tokens seen (default 0)");
  verb->add_option("--frequency-penalty", s.frequency_penalty, "subtracted for each time a token was seen (default 0)");
  verb->add_option("--logit-bias", o->biases, "ID=VALUE added to a token's logit; may be repeated");
  verb->add_option("--stop", o->generate.stops, "a text that ends the answer; may be repeated");
  verb->add_option("--session", o->session_file, "a file that keeps the sequence: continued if it exists, written at the end");
  verb->add_flag("--raw", o->raw, "the prompt as it is, without the model's chat template");
  verb->add_option("--system", o->system, "system message");
  verb->footer("Example: moiety run model.gguf \"Why is the sky blue?\" -n 100 --temp 0.7");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      if (!o->file.empty()) o->prompt = read_text_file(o->file);
      else if (o->prompt == "-") o->prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
      if (o->prompt.empty() && !o->interactive) throw UsageError("the prompt is empty; give a PROMPT, -f FILE, or -i for a conversation");
      parse_biases(*o);
      o->generate.max_tokens = o->max_tokens;
      o->generate.sampling.seed = o->seed;
      const auto model = open_model(*o, commands.quiet);
      const auto tokenizer = load_tokenizer(model->path);
      o->generate.end_ids = tokenizer->end_ids();
      for (int32_t id : model->config.end_ids) o->generate.end_ids.push_back(id);
      Session session(model, session_options(*o));
      return o->interactive ? chat(*o, session, *tokenizer, commands.quiet) : complete(*o, session, *tokenizer, commands.quiet);
    };
  });
}

}  // namespace moiety
