// moiety run -i: a conversation in the terminal, or line by line from a pipe.
#include <cstdio>

#include "apps/conversation.h"
#include "apps/line_reader.h"
#include "base/interrupt.h"

namespace moiety {
namespace {

constexpr const char* help =
    "Ctrl-C stops an answer; Ctrl-D, or Ctrl-C twice, ends the conversation. A line that ends with \\ goes on with the next.\n"
    "/clear forgets the conversation, /exit ends it, /help shows this.\n";

// An answer to one line, or an error that the conversation survives.
void turn(const RunOptions& o, Conversation& conversation, const std::string& line) {
  LoadCounter load;
  try {
    const Generated g = conversation.answer(line, print_piece, load);
    print_piece("\n");
    if (!o.quiet) print_summary(g, load);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    std::fprintf(stderr, "moiety: %s\n", e.what());
  }
}

}  // namespace

int chat(const RunOptions& o, Session& session, const Tokenizer& tokenizer) {
  Conversation conversation(o, session, tokenizer);
  LineReader reader;
  if (!o.quiet) std::fprintf(stderr, "%s", help);
  std::optional<std::string> line = o.prompt.empty() ? reader.read() : o.prompt;
  for (; line && *line != "/exit"; line = reader.read()) {
    clear_interrupt();
    if (*line == "/help") std::fprintf(stderr, "%s", help);
    else if (*line == "/clear") conversation.clear();
    else if (line->find_first_not_of(" \t\n") != std::string::npos) turn(o, conversation, *line);
    clear_interrupt();
  }
  conversation.save();
  return reader.interrupted() ? 130 : 0;
}

}  // namespace moiety
