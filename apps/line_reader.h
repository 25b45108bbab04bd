// One line of a conversation: edited and remembered on a terminal, read plainly elsewhere.
#pragma once
#include <optional>
#include <string>

struct editline;
struct history;

namespace moiety {

class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;

  // Nothing at the end of the input: Ctrl-D, or Ctrl-C twice. A line that ends with a backslash goes on with the next.
  std::optional<std::string> read();
  // Whether it was Ctrl-C that ended the input.
  bool interrupted() const { return presses_ > 1; }

 private:
  std::optional<std::string> read_line();
  static int next_key(editline*, wchar_t* key);
  static unsigned char on_interrupt(editline* edit, int);
  static char* prompt(editline* edit);

  editline* edit_ = nullptr;  // none where stdin is no terminal
  history* history_ = nullptr;
  int presses_ = 0;           // of Ctrl-C, one after another
  bool continues_ = false;
};

}  // namespace moiety
