#include "apps/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cwchar>

#include "apps/standard_input.h"
#include "base/interrupt.h"

namespace moiety {

LineReader::LineReader() {
  if (!isatty(0)) return;
  // The editor counts the columns of a character by the locale.
  if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  edit_ = el_init("moiety", stdin, stderr, stderr);
  history_ = history_init();
  HistEvent event;
  history(history_, &event, H_SETSIZE, 1000);
  history(history_, &event, H_SETUNIQUE, 1);
  el_set(edit_, EL_CLIENTDATA, this);
  el_set(edit_, EL_PROMPT, &LineReader::prompt);
  el_set(edit_, EL_EDITOR, "emacs");
  el_set(edit_, EL_HIST, history, history_);
  el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  // While a line is edited, Ctrl-C is a key like others: its signal is turned into one.
  el_set(edit_, EL_GETCFN, &LineReader::next_key);
  el_set(edit_, EL_ADDFN, "moiety-interrupt", "drops the line", &LineReader::on_interrupt);
  el_set(edit_, EL_BIND, "^C", "moiety-interrupt", nullptr);
}

LineReader::~LineReader() {
  if (!edit_) return;
  history_end(history_);
  el_end(edit_);
}

char* LineReader::prompt(EditLine* edit) {
  LineReader* self = nullptr;
  el_get(edit, EL_CLIENTDATA, &self);
  return const_cast<char*>(self->continues_ ? ". " : "> ");
}

// A character of the terminal's input, as the editor wants it; 0 at the end, -1 where reading fails.
int LineReader::next_key(EditLine*, wchar_t* key) {
  std::mbstate_t state{};
  for (;;) {
    char byte;
    const ssize_t count = read_some_input(&byte, 1);
    if (count < 0 && errno == EINTR) {
      clear_interrupt();
      *key = L'\3';
      return 1;
    }
    if (count <= 0) return static_cast<int>(count);
    const size_t used = std::mbrtowc(key, &byte, 1, &state);
    if (used == static_cast<size_t>(-2)) continue;  // more bytes belong to it
    if (used <= 1) return 1;
    state = {};  // no character: skipped
  }
}

unsigned char LineReader::on_interrupt(EditLine* edit, int) {
  LineReader* self = nullptr;
  el_get(edit, EL_CLIENTDATA, &self);
  const LineInfoW* line = el_wline(edit);
  const auto length = static_cast<int>(line->lastchar - line->buffer);
  self->presses_ = length ? 0 : self->presses_ + 1;
  if (self->presses_ > 1) return CC_EOF;
  el_cursor(edit, static_cast<int>(line->lastchar - line->cursor));
  el_deletestr(edit, length);
  std::fprintf(stderr, "%s\n", length ? "^C" : "^C  (Ctrl-C again, or Ctrl-D, ends the conversation)");
  self->continues_ = false;
  return CC_REDISPLAY;
}

std::optional<std::string> LineReader::read_line() {
  std::string line;
  if (!edit_) {
    for (char byte;;) {
      const ssize_t count = read_some_input(&byte, 1);
      if (count < 0 || (count == 0 && line.empty())) return {};
      if (count == 0 || byte == '\n') return line;
      line += byte;
    }
  }
  int count = 0;
  const char* text = el_gets(edit_, &count);
  if (!text || count <= 0) return {};
  presses_ = 0;
  line.assign(text, static_cast<size_t>(count));
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return line;
}

std::optional<std::string> LineReader::read() {
  presses_ = 0;
  std::string out;
  for (continues_ = false;; continues_ = true) {
    const std::optional<std::string> line = read_line();
    if (!line) {
      if (edit_) std::fputc('\n', stderr);
      return {};
    }
    out += *line;
    if (!out.ends_with('\\')) break;
    out.back() = '\n';
  }
  continues_ = false;
  HistEvent event;
  if (edit_ && !out.empty()) history(history_, &event, H_ENTER, out.c_str());
  return out;
}

}  // namespace moiety
