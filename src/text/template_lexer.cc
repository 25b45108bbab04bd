#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "text/template_ast.h"
#include "text/utf8.h"
#include "text/whitespace.h"

namespace moiety {
namespace {

using Token = TemplateToken;
using Type = Token::Type;

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name) : source_(unix_lines(source)), s_(source_), name_(name) {}

  std::vector<Token> run() {
    // One trailing newline of the source is dropped, as Jinja does.
    if (s_.ends_with('\n')) s_.remove_suffix(1);
    while (at_ < s_.size()) text();
    out_.push_back({Type::end, "", line_});
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { throw Error("template {}, line {}: {}", name_, line_, reason); }

  void advance(size_t to) {
    line_ += static_cast<int>(std::count(s_.begin() + static_cast<ptrdiff_t>(at_), s_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  // Every line end as Jinja sees it, whichever system wrote the file.
  static std::string unix_lines(std::string_view source) {
    std::string out;
    for (size_t i = 0; i < source.size(); i++) {
      if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
      out += source[i] == '\r' ? '\n' : source[i];
    }
    return out;
  }

  // Text up to the next tag, then the tag.
  void text() {
    size_t tag = at_;
    for (;; tag++) {
      tag = s_.find('{', tag);
      if (tag == s_.npos || tag + 1 >= s_.size()) tag = s_.npos;
      if (tag == s_.npos || s_[tag + 1] == '{' || s_[tag + 1] == '%' || s_[tag + 1] == '#') break;
    }
    std::string_view piece = after_tag(s_.substr(at_, tag == s_.npos ? s_.npos : tag - at_));
    if (tag == s_.npos) {
      push_text(piece);
      advance(s_.size());
      return;
    }
    const char kind = s_[tag + 1], control = tag + 2 < s_.size() ? s_[tag + 2] : '\0';
    push_text(before_tag(piece, control, kind != '{'));
    advance(tag + 2);
    if (control == '-' || control == '+') advance(at_ + 1);
    if (kind == '#') return comment();
    if (kind == '%' && raw_tag()) return raw();
    out_.push_back({kind == '{' ? Type::begin_output : Type::begin_statement, "", line_});
    tag_body(kind == '{' ? "}}" : "%}", kind);
  }

  // What the tag before leaves of a text.
  std::string_view after_tag(std::string_view piece) {
    if (strip_next_) piece = strip_left(piece);
    else if (trim_newline_ && piece.starts_with('\n')) piece.remove_prefix(1);
    strip_next_ = trim_newline_ = false;
    return piece;
  }

  // What the tag that follows leaves of it: lstrip_blocks takes the blanks before a block at the beginning of a line.
  std::string_view before_tag(std::string_view piece, char control, bool block) const {
    if (control == '-') return strip_right(piece);
    if (control == '+' || !block) return piece;
    const size_t line = piece.rfind('\n') + 1;  // 0 where there is none
    if (!strip_left(piece.substr(line)).empty()) return piece;
    return line > 0 || starts_line() ? piece.substr(0, line) : piece;
  }

  // Whether the tag that follows an all-blank text stands at the beginning of a line.
  bool starts_line() const { return out_.empty() || last_ended_line_; }

  void push_text(std::string_view piece) {
    if (piece.empty()) return;
    out_.push_back({Type::text, std::string(piece), line_});
    last_ended_line_ = piece.back() == '\n';
  }

  void comment() {
    const size_t end = s_.find("#}", at_);
    if (end == s_.npos) fail("a comment without end");
    const char control = end > at_ ? s_[end - 1] : '\0';
    advance(end + 2);
    close(control == '-', control != '+');
  }

  // Steps over `raw` and the end of its tag, if that is what stands here.
  bool raw_tag() {
    const std::string_view word = strip_left(s_.substr(at_));
    if (!word.starts_with("raw")) return false;
    const std::string_view rest = strip_left(word.substr(3));
    const bool minus = rest.starts_with("-%}");
    if (!minus && !rest.starts_with("%}")) return false;
    advance(s_.size() - rest.size() + (minus ? 3 : 2));
    close(minus, false);
    return true;
  }

  // Text without tags up to {% endraw %}.
  void raw() {
    for (size_t tag = s_.find("{%", at_); tag != s_.npos; tag = s_.find("{%", tag + 1)) {
      const char control = tag + 2 < s_.size() ? s_[tag + 2] : '\0';
      const bool sign = control == '-' || control == '+';
      const std::string_view word = strip_left(s_.substr(tag + 2 + sign));
      if (!word.starts_with("endraw")) continue;
      const std::string_view rest = strip_left(word.substr(6));
      const bool minus = rest.starts_with("-%}"), plus = rest.starts_with("+%}");
      if (!minus && !plus && !rest.starts_with("%}")) continue;
      push_text(before_tag(after_tag(s_.substr(at_, tag - at_)), control, true));
      advance(s_.size() - rest.size() + (minus || plus ? 3 : 2));
      return close(minus, !plus);
    }
    fail("{% raw %} without {% endraw %}");
  }

  void close(bool strip, bool block) {
    strip_next_ = strip;
    trim_newline_ = block;
    last_ended_line_ = block && !strip && at_ < s_.size() && s_[at_] == '\n';
  }

  void tag_body(std::string_view close_tag, char kind) {
    int depth = 0;
    for (;;) {
      while (at_ < s_.size() && std::isspace(static_cast<unsigned char>(s_[at_]))) advance(at_ + 1);
      if (at_ >= s_.size()) fail("a tag without end");
      const std::string_view rest = s_.substr(at_);
      const bool minus = rest[0] == '-' && rest.substr(1).starts_with(close_tag), plus = rest[0] == '+' && rest.substr(1).starts_with(close_tag);
      if (depth == 0 && (minus || plus || rest.starts_with(close_tag))) {
        advance(at_ + close_tag.size() + (minus || plus));
        out_.push_back({kind == '{' ? Type::end_output : Type::end_statement, "", line_});
        return close(minus, kind == '%' && !plus);
      }
      token(rest, depth);
    }
  }

  void token(std::string_view rest, int& depth) {
    const auto c = static_cast<unsigned char>(rest[0]);
    if (std::isalpha(c) || c == '_' || c >= 0x80) {
      size_t n = 0;
      while (n < rest.size() && (std::isalnum(static_cast<unsigned char>(rest[n])) || rest[n] == '_' || static_cast<unsigned char>(rest[n]) >= 0x80)) n++;
      out_.push_back({Type::name, std::string(rest.substr(0, n)), line_});
      return advance(at_ + n);
    }
    if (std::isdigit(c)) return number(rest);
    if (c == '"' || c == '\'') return string(rest);
    for (std::string_view op : {"**", "//", "==", "!=", "<=", ">="})
      if (rest.starts_with(op)) {
        out_.push_back({Type::op, std::string(op), line_});
        return advance(at_ + 2);
      }
    if (std::string_view("+-*/%~<>=()[]{},:.|!").find(rest[0]) == std::string_view::npos) fail(fmt::format("unexpected character '{}'", rest[0]));
    if (rest[0] == '(' || rest[0] == '[' || rest[0] == '{') depth++;
    if (rest[0] == ')' || rest[0] == ']' || rest[0] == '}') depth--;
    if (depth < 0) fail(fmt::format("unexpected '{}'", rest[0]));
    out_.push_back({Type::op, std::string(1, rest[0]), line_});
    advance(at_ + 1);
  }

  void number(std::string_view rest) {
    size_t n = 0;
    bool floating = false;
    std::string digits;
    while (n < rest.size() && (std::isdigit(static_cast<unsigned char>(rest[n])) || rest[n] == '_' ||
                               (rest[n] == '.' && !floating && n + 1 < rest.size() && std::isdigit(static_cast<unsigned char>(rest[n + 1]))))) {
      floating |= rest[n] == '.';
      if (rest[n] != '_') digits += rest[n];
      n++;
    }
    if (n < rest.size() && (rest[n] == 'e' || rest[n] == 'E')) {
      size_t k = n + 1;
      if (k < rest.size() && (rest[k] == '+' || rest[k] == '-')) k++;
      if (k < rest.size() && std::isdigit(static_cast<unsigned char>(rest[k]))) {
        while (k < rest.size() && std::isdigit(static_cast<unsigned char>(rest[k]))) k++;
        digits += rest.substr(n, k - n);
        n = k;
        floating = true;
      }
    }
    if (digits.size() > 300) fail("a number of too many digits");
    out_.push_back({floating ? Type::floating : Type::integer, digits, line_});
    advance(at_ + n);
  }

  void string(std::string_view rest) {
    const char quote = rest[0];
    std::string value;
    size_t i = 1;
    for (; i < rest.size() && rest[i] != quote; i++) {
      if (rest[i] != '\\' || i + 1 >= rest.size()) {
        value += rest[i];
        continue;
      }
      const char c = rest[++i];
      auto hex = [&](size_t digits) {
        uint32_t code = 0;
        for (size_t k = 0; k < digits; k++) {
          if (i + 1 >= rest.size() || !std::isxdigit(static_cast<unsigned char>(rest[i + 1]))) fail("a broken escape in a text");
          const char h = rest[++i];
          code = code * 16 + static_cast<uint32_t>(std::isdigit(static_cast<unsigned char>(h)) ? h - '0' : std::tolower(h) - 'a' + 10);
        }
        if (code > 0x10ffff) fail("an escape beyond Unicode");
        append_utf8(value, code);
      };
      switch (c) {
        case 'n': value += '\n'; break;
        case 't': value += '\t'; break;
        case 'r': value += '\r'; break;
        case 'b': value += '\b'; break;
        case 'f': value += '\f'; break;
        case 'v': value += '\v'; break;
        case 'a': value += '\a'; break;
        case '0': value += '\0'; break;
        case 'x': hex(2); break;
        case 'u': hex(4); break;
        case 'U': hex(8); break;
        case '\n': break;
        case '\\': case '\'': case '"': value += c; break;
        default: (value += '\\') += c;
      }
    }
    if (i >= rest.size()) fail("a text without closing quote");
    out_.push_back({Type::string, value, line_});
    advance(at_ + i + 1);
  }

  const std::string source_;
  std::string_view s_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1;
  bool strip_next_ = false, trim_newline_ = false, last_ended_line_ = true;
  std::vector<Token> out_;
};

}  // namespace

std::vector<TemplateToken> lex_template(std::string_view source, const std::string& name) { return Lexer(source, name).run(); }

}  // namespace moiety
