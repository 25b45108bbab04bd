// Python's % formatting, with the conversions that templates use.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "text/template_value.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;

struct Conversion {
  std::string flags, width, precision;
  bool has_precision = false;
};

size_t small_number(const std::string& digits) {
  if (digits.size() > 4) throw Error("a width of {} in a format is too large", digits);
  return digits.empty() ? 0 : std::stoul(digits);
}

std::string padded(const std::string& text, const Conversion& c) {
  const size_t length = code_points(text).size(), width = small_number(c.width);
  const std::string pad(width > length ? width - length : 0, ' ');
  return c.flags.find('-') != std::string::npos ? text + pad : pad + text;
}

std::string convert_number(const V& v, char kind, const Conversion& c) {
  if (!v.is_number()) throw Error("%{} format: a number is required, not {}", kind, v.type_name());
  const size_t precision = small_number(c.precision);
  std::string spec = "%" + c.flags + c.width + (c.has_precision ? "." + std::to_string(precision) : "");
  std::string out(small_number(c.width) + precision + 400, '\0');
  const bool real = std::string_view("eEfFgG").find(kind) != std::string_view::npos;
  if (!real && kind != 'd' && kind != 'i' && v.is(Type::floating)) throw Error("%{} format: an integer is required, not float", kind);
  if (!real && std::abs(v.as_number()) >= 9.2e18) throw Error("%{} format: a number beyond 64 bits", kind);
  const int n = real ? std::snprintf(out.data(), out.size(), (spec + kind).c_str(), v.as_number())
                     : std::snprintf(out.data(), out.size(), (spec + "ll" + kind).c_str(), v.is(Type::floating) ? static_cast<long long>(v.number) : v.as_integer());
  out.resize(static_cast<size_t>(n));
  return out;
}

}  // namespace

std::string percent_format(const std::string& s, Values values) {
  size_t next = 0;
  std::string out;
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] != '%') {
      out += s[i];
      continue;
    }
    if (++i < s.size() && s[i] == '%') {
      out += '%';
      continue;
    }
    Conversion c;
    while (i < s.size() && std::string_view("-+ 0#").find(s[i]) != std::string_view::npos && c.flags.size() < 8) c.flags += s[i++];
    while (i < s.size() && s[i] >= '0' && s[i] <= '9') c.width += s[i++];
    if (i < s.size() && s[i] == '.') {
      c.has_precision = true;
      while (++i < s.size() && s[i] >= '0' && s[i] <= '9') c.precision += s[i];
    }
    if (i >= s.size()) throw Error("incomplete format");
    if (std::string_view("srdixXoeEfFgG").find(s[i]) == std::string_view::npos) throw Error("unsupported format character '{}'", s[i]);
    if (next >= values.size()) throw Error("not enough arguments for format string");
    const V& v = values[next++];
    if (s[i] == 's' || s[i] == 'r') {
      std::string text = s[i] == 's' ? v.str() : v.repr();
      if (c.has_precision) {
        const auto points = code_points(text);
        const size_t keep = std::min(points.size(), small_number(c.precision));
        text.resize(keep < points.size() ? static_cast<size_t>(points[keep].data() - text.data()) : text.size());
      }
      out += padded(text, c);
    } else {
      out += convert_number(v, s[i], c);
    }
    if (out.size() > template_max_output) throw Error("writes too much");
  }
  if (next < values.size() && !(values.size() == 1 && (values[0].is(Type::dict) || values[0].is(Type::list)))) throw Error("not all arguments converted during string formatting");
  return out;
}

}  // namespace moiety
