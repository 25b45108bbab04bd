// Methods of texts, lists and dicts.
#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/error.h"
#include "text/template_value.h"
#include "text/utf8.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

std::string change_case(const std::string& s, utf8proc_int32_t (*change)(utf8proc_int32_t)) {
  std::string out;
  for (std::string_view point : code_points(s)) {
    if (utf8_length(point) == 0) out += point;
    else append_utf8(out, static_cast<uint32_t>(change(static_cast<utf8proc_int32_t>(utf8_code_point(point)))));
  }
  return out;
}

std::string strip(const std::string& s, const Call& call, bool left, bool right) {
  const V* given = argument(call, 0, "chars");
  const std::string set = given && given->is(Type::string) ? given->text : " \t\n\r\f\v";
  const auto wanted = code_points(set);
  const auto points = code_points(s);
  size_t begin = 0, end = points.size();
  while (left && begin < end && std::ranges::count(wanted, points[begin])) begin++;
  while (right && end > begin && std::ranges::count(wanted, points[end - 1])) end--;
  std::string out;
  for (size_t i = begin; i < end; i++) out += points[i];
  return out;
}

bool blank(char c) { return c == ' ' || (c >= 9 && c <= 13); }

V split(const std::string& s, const Call& call, bool from_right) {
  const V* separator = argument(call, 0, "sep");
  const V* limit = argument(call, 1, "maxsplit");
  long long left = limit && limit->is_number() ? limit->as_integer() : -1;
  Values out;
  if (!separator || !separator->is(Type::string)) {
    size_t i = 0;
    while (i < s.size()) {
      while (i < s.size() && blank(s[i])) i++;
      if (i == s.size()) break;
      size_t end = i;
      if (left == 0) end = s.find_last_not_of(" \t\n\r\f\v") + 1;
      else
        while (end < s.size() && !blank(s[end])) end++;
      out.push_back(V::of(s.substr(i, end - i)));
      i = end;
      left--;
    }
    return V::list(out);
  }
  const std::string& by = separator->text;
  if (by.empty()) throw Error("empty separator");
  if (from_right) {
    size_t end = s.size();
    while (left != 0) {
      const size_t found = end >= by.size() ? s.rfind(by, end - by.size()) : std::string::npos;
      if (found == std::string::npos) break;
      out.insert(out.begin(), V::of(s.substr(found + by.size(), end - found - by.size())));
      end = found;
      left--;
    }
    out.insert(out.begin(), V::of(s.substr(0, end)));
    return V::list(out);
  }
  size_t at = 0;
  for (size_t found; left != 0 && (found = s.find(by, at)) != std::string::npos; at = found + by.size(), left--) out.push_back(V::of(s.substr(at, found - at)));
  out.push_back(V::of(s.substr(at)));
  return V::list(out);
}

V split_lines(const std::string& s) {
  Values out;
  for (size_t at = 0; at < s.size();) {
    const size_t end = std::min(s.find_first_of("\r\n", at), s.size());
    out.push_back(V::of(s.substr(at, end - at)));
    at = end + (s.substr(end, 2) == "\r\n" ? 2 : 1);
  }
  return V::list(out);
}

std::string replace(const std::string& s, const Call& call) {
  if (call.positional.size() < 2) throw Error("replace expected at least 2 arguments");
  const std::string from = call.positional[0].str(), to = call.positional[1].str();
  const V* limit = argument(call, 2, "count");
  long long left = limit && limit->is_number() ? limit->as_integer() : -1;
  std::string out;
  if (from.empty()) {
    for (std::string_view point : code_points(s)) {
      if (left != 0) out += to, left--;
      out += point;
    }
    return left != 0 ? out + to : out;
  }
  size_t at = 0;
  for (size_t found; left != 0 && (found = s.find(from, at)) != std::string::npos; at = found + from.size(), left--) out.append(s, at, found - at).append(to);
  return out.append(s, at);
}

bool affix(const std::string& s, const Call& call, bool starts) {
  if (call.positional.empty()) throw Error("expected at least 1 argument");
  const V& wanted = call.positional[0];
  const Values options = wanted.is(Type::list) ? *wanted.items : Values{wanted};
  return std::ranges::any_of(options, [&](const V& v) { return starts ? s.starts_with(v.str()) : s.ends_with(v.str()); });
}

long long find(const std::string& s, const Call& call, bool last) {
  if (call.positional.empty()) throw Error("expected at least 1 argument");
  const size_t at = last ? s.rfind(call.positional[0].str()) : s.find(call.positional[0].str());
  return at == std::string::npos ? -1 : static_cast<long long>(code_points(std::string_view(s).substr(0, at)).size());
}

// Python's % formatting with the conversions that templates use.
std::string percent(const std::string& s, const Call& call) {
  Values values = call.positional;
  if (values.size() == 1 && values[0].is(Type::list) && values[0].flag) values = *values[0].items;
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
    std::string spec = "%";
    while (i < s.size() && std::string_view("-+ 0123456789.#").find(s[i]) != std::string_view::npos && spec.size() < 16) spec += s[i++];
    if (i >= s.size()) throw Error("incomplete format");
    if (next >= values.size()) throw Error("not enough arguments for format string");
    const V& v = values[next++];
    char buffer[512];
    switch (s[i]) {
      case 's': std::snprintf(buffer, sizeof(buffer), (spec + "s").c_str(), v.str().c_str()); out += spec == "%" ? v.str() : buffer; break;
      case 'r': out += v.repr(); break;
      case 'd': case 'i': std::snprintf(buffer, sizeof(buffer), (spec + "lld").c_str(), static_cast<long long>(v.as_number())); out += buffer; break;
      case 'x': std::snprintf(buffer, sizeof(buffer), (spec + "llx").c_str(), v.as_integer()); out += buffer; break;
      case 'f': case 'g': case 'e': std::snprintf(buffer, sizeof(buffer), (spec + s[i]).c_str(), v.as_number()); out += buffer; break;
      default: throw Error("unsupported format character '{}'", s[i]);
    }
  }
  return out;
}

std::optional<V> text_method(const std::string& s, const std::string& name, const Call& call) {
  if (name == "strip") return V::of(strip(s, call, true, true));
  if (name == "lstrip") return V::of(strip(s, call, true, false));
  if (name == "rstrip") return V::of(strip(s, call, false, true));
  if (name == "upper") return V::of(change_case(s, utf8proc_toupper));
  if (name == "lower") return V::of(change_case(s, utf8proc_tolower));
  if (name == "split") return split(s, call, false);
  if (name == "rsplit") return split(s, call, true);
  if (name == "splitlines") return split_lines(s);
  if (name == "startswith") return V::of(affix(s, call, true));
  if (name == "endswith") return V::of(affix(s, call, false));
  if (name == "replace") return V::of(replace(s, call));
  if (name == "find" || name == "index") return V::of(find(s, call, false));
  if (name == "rfind") return V::of(find(s, call, true));
  if (name == "title" || name == "capitalize") return *apply_filter(name, V::of(s), call);
  if (name == "%") return V::of(percent(s, call));
  if (name == "count") {
    long long n = 0;
    const std::string what = call.positional.empty() ? "" : call.positional[0].str();
    for (size_t at = 0; !what.empty() && (at = s.find(what, at)) != std::string::npos; at += what.size()) n++;
    return V::of(n);
  }
  if (name == "join") {
    Call by;
    by.positional.push_back(V::of(s));
    return *apply_filter("join", call.positional.at(0), by);
  }
  auto all = [&](auto test) { return V::of(!s.empty() && std::ranges::all_of(s, [&](unsigned char c) { return test(c) != 0; })); };
  if (name == "isdigit" || name == "isdecimal" || name == "isnumeric") return all([](int c) { return std::isdigit(c); });
  if (name == "isalpha") return all([](int c) { return std::isalpha(c) || c >= 128; });
  if (name == "isalnum") return all([](int c) { return std::isalnum(c) || c >= 128; });
  if (name == "isspace") return all([](int c) { return std::isspace(c); });
  if (name == "isupper") return V::of(*apply_test("upper", V::of(s), {}));
  if (name == "islower") return V::of(*apply_test("lower", V::of(s), {}));
  if (name == "removeprefix") return V::of(affix(s, call, true) ? s.substr(call.positional[0].str().size()) : s);
  if (name == "removesuffix") return V::of(affix(s, call, false) ? s.substr(0, s.size() - call.positional[0].str().size()) : s);
  if (name == "format") {  // {} and {0} and {name}
    std::string out;
    size_t next = 0;
    for (size_t i = 0; i < s.size(); i++) {
      if (s.substr(i, 2) == "{{" || s.substr(i, 2) == "}}") out += s[i++];
      else if (s[i] == '{') {
        const size_t end = s.find('}', i);
        if (end == std::string::npos) throw Error("Single '{{' encountered in format string");
        const std::string key = s.substr(i + 1, end - i - 1);
        const bool digits = !key.empty() && std::ranges::all_of(key, [](unsigned char c) { return std::isdigit(c); });
        const V* v = argument(call, key.empty() ? next++ : digits ? std::stoul(key.substr(0, 4)) : SIZE_MAX, key);
        if (!v) throw Error("format: no argument for '{{{}}}'", key);
        out += v->str();
        i = end;
      } else {
        out += s[i];
      }
    }
    return V::of(out);
  }
  return {};
}

std::optional<V> list_method(const V& list, const std::string& name, const Call& call) {
  Values& items = *list.items;
  if (name == "append" || name == "extend" || name == "insert" || name == "pop" || name == "remove" || name == "reverse" || name == "sort")
    if (list.flag) return {};
  if (name == "append") {
    items.push_back(call.positional.at(0));
    return V::none_value();
  }
  if (name == "extend") {
    const Values more = *apply_filter("list", call.positional.at(0), {})->items;
    items.insert(items.end(), more.begin(), more.end());
    return V::none_value();
  }
  if (name == "insert") {
    const long long n = static_cast<long long>(items.size()), at = call.positional.at(0).as_integer();
    items.insert(items.begin() + static_cast<ptrdiff_t>(std::clamp(at < 0 ? at + n : at, 0LL, n)), call.positional.at(1));
    return V::none_value();
  }
  if (name == "pop") {
    if (items.empty()) throw Error("pop from empty list");
    const long long n = static_cast<long long>(items.size()), given = call.positional.empty() ? n - 1 : call.positional[0].as_integer();
    const long long at = given < 0 ? given + n : given;
    if (at < 0 || at >= n) throw Error("pop index out of range");
    V out = items[static_cast<size_t>(at)];
    items.erase(items.begin() + static_cast<ptrdiff_t>(at));
    return out;
  }
  if (name == "reverse") {
    std::ranges::reverse(items);
    return V::none_value();
  }
  if (name == "index") {
    for (size_t i = 0; i < items.size(); i++)
      if (equal(items[i], call.positional.at(0))) return V::of(static_cast<long long>(i));
    throw Error("{} is not in list", call.positional.at(0).repr());
  }
  if (name == "count") return V::of(static_cast<long long>(std::ranges::count_if(items, [&](const V& v) { return equal(v, call.positional.at(0)); })));
  if (name == "copy") return V::list(items);
  return {};
}

std::optional<V> dict_method(const V& dict, const std::string& name, const Call& call) {
  if (name == "get") {
    if (const V* found = dict.find(call.positional.at(0))) return *found;
    const V* otherwise = argument(call, 1, "default");
    return otherwise ? *otherwise : V::none_value();
  }
  if (name == "items") return *apply_filter("items", dict, {});
  if (name == "keys") return *apply_filter("list", dict, {});
  if (name == "values") {
    Values out;
    for (const auto& pair : *dict.pairs) out.push_back(pair.second);
    return V::list(out);
  }
  V target = dict;
  if (name == "update") {
    if (!call.positional.empty() && call.positional[0].is(Type::dict))
      for (const auto& [key, value] : *call.positional[0].pairs) target.set(key, value);
    for (const auto& [key, value] : call.named) target.set(V::of(key), value);
    return V::none_value();
  }
  if (name == "setdefault") {
    if (!dict.find(call.positional.at(0))) target.set(call.positional.at(0), call.positional.size() > 1 ? call.positional[1] : V::none_value());
    return *dict.find(call.positional.at(0));
  }
  if (name == "pop") {
    for (auto it = dict.pairs->begin(); it != dict.pairs->end(); ++it)
      if (equal(it->first, call.positional.at(0))) {
        V out = it->second;
        dict.pairs->erase(it);
        return out;
      }
    if (call.positional.size() > 1) return call.positional[1];
    throw Error("KeyError: {}", call.positional.at(0).repr());
  }
  if (name == "copy") return V::dict(*dict.pairs);
  return {};
}

}  // namespace

std::optional<V> call_method(const V& object, const std::string& name, const Call& call) {
  try {
    if (object.is(Type::string)) return text_method(object.text, name, call);
    if (object.is(Type::list)) return list_method(object, name, call);
    if (object.is(Type::dict) && !object.flag) return dict_method(object, name, call);
    return {};
  } catch (const std::out_of_range&) {
    throw Error("{}() needs more arguments", name);
  }
}

bool has_method(const V& object, const std::string& name) {
  if (!object.is(Type::dict) || object.flag) return false;
  for (const char* known : {"get", "items", "keys", "values", "update", "setdefault", "pop", "copy"})
    if (name == known) return true;
  return false;
}

}  // namespace moiety
