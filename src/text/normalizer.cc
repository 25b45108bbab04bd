#include "text/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace moiety {
namespace {

std::string mapped(const std::string& text, int options) {
  utf8proc_uint8_t* out = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &out,
                                 static_cast<utf8proc_option_t>(options));
  if (size < 0) return text;  // not UTF-8: as it is
  std::string result(reinterpret_cast<const char*>(out), static_cast<size_t>(size));
  std::free(out);
  return result;
}

template <class Change>
std::string each_code_point(const std::string& text, Change change) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest(text.data() + i, text.size() - i);
    const size_t n = utf8_length(rest);
    if (n == 0) out += text[i];
    else change(out, rest.substr(0, n), utf8_code_point(rest));
    i += n ? n : 1;
  }
  return out;
}

std::string lowercase(const std::string& text) {
  return each_code_point(text, [](std::string& out, std::string_view, uint32_t c) {
    if (c == 0x130) out += "i\xcc\x87";  // the one code point whose lower case is two
    else append_utf8(out, to_lower(c));
  });
}

std::string without(const std::string& text, bool (*dropped)(uint32_t)) {
  return each_code_point(text, [&](std::string& out, std::string_view piece, uint32_t c) {
    if (!dropped(c)) out += piece;
  });
}

bool is_chinese(uint32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

std::string bert(const NormalizerStep& s, std::string text) {
  if (s.clean)
    text = each_code_point(text, [](std::string& out, std::string_view piece, uint32_t c) {
      if (is_space(c) && c != 0x85 && c != '\v' && c != '\f') out += ' ';
      else if (!is_bert_control(c)) out += piece;
    });
  if (s.chinese)
    text = each_code_point(text, [](std::string& out, std::string_view piece, uint32_t c) {
      if (is_chinese(c)) (out += ' ') += piece, out += ' ';
      else out += piece;
    });
  if (s.accents) text = without(mapped(text, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), is_bert_accent);
  if (s.lower) text = lowercase(text);
  return text;
}

// A chain of replacements, each by something longer, could fill any memory.
size_t most_of(size_t text_bytes) { return (size_t{1} << 20) + 64 * text_bytes; }

void check_growth(const std::string& out, size_t most) {
  if (out.size() > most) throw Error("the tokenizer's normaliser makes more than {} bytes of a text; its file is damaged or hostile", most);
}

std::string replace_all(const std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return text;
  std::string out;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != std::string::npos; at = found + from.size()) {
    out.append(text, at, found - at).append(to);
    check_growth(out, most_of(text.size()));
  }
  return out.append(text, at);
}

std::string replace_matches(const std::string& text, const Regex& regex, const std::string& to) {
  std::string out;
  size_t at = 0, begin, end;
  while (at < text.size() && regex.find(text, at, begin, end)) {
    if (end == begin) break;
    out.append(text, at, begin - at).append(to);
    check_growth(out, most_of(text.size()));
    at = end;
  }
  return out.append(text, at);
}

// A unit of a double-array trie (Darts-clone): label in the low byte, leaf and value flags, offset to the children.
class CharsMap {
 public:
  explicit CharsMap(const std::string& blob) {
    uint32_t bytes;
    std::memcpy(&bytes, blob.data(), 4);
    units_ = {blob.data() + 4, bytes};
    strings_ = std::string_view(blob).substr(4 + bytes);
  }

  // The longest key that the text begins with: its bytes, and what replaces it.
  size_t longest(std::string_view text, std::string_view& replacement) const {
    size_t best = 0;
    uint32_t node = offset(unit(0));
    for (size_t i = 0; i < text.size(); i++) {
      const auto c = static_cast<unsigned char>(text[i]);
      node ^= c;
      if (node >= units_.size() / 4) break;
      const uint32_t u = unit(node);
      if ((u & 0x800000ffu) != c) break;
      node ^= offset(u);
      if (!(u >> 8 & 1)) continue;
      if (node >= units_.size() / 4) break;
      const uint32_t place = unit(node) & 0x7fffffffu;
      if (place >= strings_.size()) break;
      replacement = strings_.substr(place, strings_.find('\0', place) - place);
      best = i + 1;
    }
    return best;
  }

 private:
  uint32_t unit(uint32_t i) const {
    uint32_t u;
    std::memcpy(&u, units_.data() + size_t{i} * 4, 4);
    return u;
  }
  static uint32_t offset(uint32_t u) { return (u >> 10) << ((u & 0x200u) >> 6); }
  std::string_view units_, strings_;
};

std::string map_characters(const std::string& blob, const std::string& text) {
  const CharsMap map(blob);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest(text.data() + i, text.size() - i);
    std::string_view replacement;
    const size_t n = map.longest(rest, replacement);
    if (n) out += replacement;
    else out += rest.substr(0, utf8_step(rest));
    i += n ? n : utf8_step(rest);
  }
  return out;
}

std::string strip(const NormalizerStep& s, const std::string& text) {
  size_t begin = 0, end = text.size();
  const char* spaces = " \t\n\r\f\v";
  if (s.left) begin = std::min(text.find_first_not_of(spaces), text.size());
  if (s.right && begin < end) end = text.find_last_not_of(spaces) + 1;
  return text.substr(begin, end - begin);
}

// SentencePiece's remove_extra_whitespaces: none at the ends, one between words.
std::string collapse_spaces(const std::string& text) {
  std::string out;
  for (char c : text)
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string apply(const NormalizerStep& s, std::string text) {
  using Kind = NormalizerStep::Kind;
  switch (s.kind) {
    case Kind::nfc: return compose(text);
    case Kind::nfd: return mapped(text, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    case Kind::nfkc: return mapped(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case Kind::nfkd: return mapped(text, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    case Kind::lowercase: return lowercase(text);
    case Kind::strip_accents: return without(text, is_mark);
    case Kind::bert: return bert(s, std::move(text));
    case Kind::replace: return replace_all(text, s.from, s.to);
    case Kind::replace_regex: return replace_matches(text, *s.regex, s.to);
    case Kind::prepend: return text.empty() ? text : s.to + text;
    case Kind::strip: return strip(s, text);
    case Kind::charsmap: return map_characters(*s.charsmap, text);
    case Kind::collapse_spaces: return collapse_spaces(text);
  }
  return text;
}

bool is_ascii(std::string_view text) {
  for (char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

}  // namespace

std::string normalize(const std::vector<NormalizerStep>& steps, std::string text) {
  const size_t most = most_of(text.size());
  for (const NormalizerStep& step : steps) {
    if (step.kind <= NormalizerStep::Kind::nfkd && is_ascii(text)) continue;  // Unicode forms leave ASCII alone
    text = apply(step, std::move(text));
    check_growth(text, most);
  }
  return text;
}

std::shared_ptr<const std::string> check_charsmap(std::string blob, const std::string& origin) {
  uint32_t bytes = 0;
  if (blob.size() >= 4) std::memcpy(&bytes, blob.data(), 4);
  if (blob.size() < 8 || bytes > blob.size() - 4 || bytes < 4 || bytes % 4 != 0) throw Error("{}: the precompiled character map is damaged", origin);
  blob += '\0';
  return std::make_shared<const std::string>(std::move(blob));
}

}  // namespace moiety
