// Methods of texts, lists and dicts.
#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "base/error.h"
#include "text/template_value.h"
#include "text/utf8.h"
#include "text/whitespace.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

std::string change_case(const std::string& s, utf8proc_int32_t (*change)(utf8proc_int32_t), bool upper) {
  std::string out;
  for (std::string_view point : code_points(s)) {
    if (utf8_length(point) == 0) out += point;
    else if (upper && point == "ß") out += "SS";  // the one common letter whose other case has two
    else append_utf8(out, static_cast<uint32_t>(change(static_cast<utf8proc_int32_t>(utf8_code_point(point)))));
  }
  return out;
}

std::string strip(const std::string& s, const Call& call, bool left, bool right) {
  const V* given = argument(call, 0, "chars");
  if (!given || given->is(Type::none)) {
    std::string_view out = s;
    if (left) out = strip_left(out);
    return std::string(right ? strip_right(out) : out);
  }
  const auto wanted = code_points(given->text);
  const auto points = code_points(s);
  size_t begin = 0, end = points.size();
  while (left && begin < end && std::ranges::count(wanted, points[begin])) begin++;
  while (right && end > begin && std::ranges::count(wanted, points[end - 1])) end--;
  std::string out;
  for (size_t i = begin; i < end; i++) out += points[i];
  return out;
}

bool is_letter(std::string_view point) {
  const auto c = static_cast<utf8proc_int32_t>(utf8_code_point(point));
  const utf8proc_category_t category = utf8proc_category(c);
  return utf8_length(point) && category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(std::string_view point) {
  return utf8_length(point) && utf8proc_category(static_cast<utf8proc_int32_t>(utf8_code_point(point))) == UTF8PROC_CATEGORY_ND;
}

// Pieces between white space; after `left` of them the rest is one piece, cut at the side where splitting began.
Values split_words(std::string_view s, long long left, bool from_right) {
  Values out;
  const auto points = code_points(s);
  std::vector<std::string_view> words;
  for (size_t i = 0; i < points.size(); i++) {
    if (begins_with_space(points[i])) continue;
    if (i == 0 || begins_with_space(points[i - 1])) words.push_back(points[i]);
    else words.back() = std::string_view(words.back().data(), words.back().size() + points[i].size());
  }
  const size_t count = words.size();
  const size_t cuts = left < 0 ? count : std::min(count, static_cast<size_t>(left));
  const char* end = s.data() + s.size();
  if (from_right && cuts < count) {
    const std::string_view last = words[count - cuts - 1];
    out.push_back(V::of(std::string(s.data(), last.data() + last.size())));
    for (size_t i = count - cuts; i < count; i++) out.push_back(V::of(std::string(words[i])));
    return out;
  }
  for (size_t i = 0; i < cuts; i++) out.push_back(V::of(std::string(words[i])));
  if (cuts < count) out.push_back(V::of(std::string(words[cuts].data(), end)));
  return out;
}

Values split_at(const std::string& s, const std::string& by, long long left, bool from_right) {
  if (by.empty()) throw Error("empty separator");
  Values out;
  if (from_right) {
    size_t end = s.size();
    for (; left != 0; left--) {
      const size_t found = end >= by.size() ? s.rfind(by, end - by.size()) : std::string::npos;
      if (found == std::string::npos) break;
      out.push_back(V::of(s.substr(found + by.size(), end - found - by.size())));
      end = found;
    }
    out.push_back(V::of(s.substr(0, end)));
    std::ranges::reverse(out);
    return out;
  }
  size_t at = 0;
  for (size_t found; left != 0 && (found = s.find(by, at)) != std::string::npos; at = found + by.size(), left--) out.push_back(V::of(s.substr(at, found - at)));
  out.push_back(V::of(s.substr(at)));
  return out;
}

V split(const std::string& s, const Call& call, bool from_right) {
  const V* separator = argument(call, 0, "sep");
  const V* limit = argument(call, 1, "maxsplit");
  const long long left = limit && limit->is_number() ? limit->as_integer() : -1;
  if (!separator || separator->is(Type::none)) return V::list(split_words(s, left, from_right));
  if (!separator->is(Type::string)) throw Error("must be str or None, not {}", separator->type_name());
  return V::list(split_at(s, separator->text, left, from_right));
}

V split_lines(const std::string& s) {
  Values out;
  const auto ends = [](std::string_view p) {
    const uint32_t c = utf8_length(p) ? utf8_code_point(p) : 0;
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::string line;
  bool open = false;
  const auto points = code_points(s);
  for (size_t i = 0; i < points.size(); i++) {
    open = !ends(points[i]);
    if (open) {
      line += points[i];
      continue;
    }
    if (points[i] == "\r" && i + 1 < points.size() && points[i + 1] == "\n") i++;
    out.push_back(V::of(std::exchange(line, "")));
  }
  if (open) out.push_back(V::of(line));
  return V::list(out);
}

const std::string& need_text(const Call& call, size_t i) {
  const V& v = call.positional.at(i);
  if (!v.is(Type::string)) throw Error("must be str, not {}", v.type_name());
  return v.text;
}

std::string replace(const std::string& s, const Call& call) {
  const std::string &from = need_text(call, 0), &to = need_text(call, 1);
  const V* limit = argument(call, 2, "count");
  long long left = limit && limit->is_number() ? limit->as_integer() : -1;
  std::string out;
  if (from.empty()) {
    for (std::string_view point : code_points(s)) {
      if (left != 0) out += to, left--;
      out += point;
      if (out.size() > template_max_output) throw Error("writes too much");
    }
    return left != 0 ? out + to : out;
  }
  size_t at = 0;
  for (size_t found; left != 0 && (found = s.find(from, at)) != std::string::npos; at = found + from.size(), left--) {
    out.append(s, at, found - at).append(to);
    if (out.size() > template_max_output) throw Error("writes too much");
  }
  return out.append(s, at);
}

bool affix(const std::string& s, const Call& call, bool starts) {
  const V& wanted = call.positional.at(0);
  const Values options = wanted.is(Type::list) && wanted.flag ? *wanted.items : Values(1, wanted);
  return std::ranges::any_of(options, [&](const V& v) {
    if (!v.is(Type::string)) throw Error("first arg must be str or a tuple of str, not {}", v.type_name());
    return starts ? s.starts_with(v.text) : s.ends_with(v.text);
  });
}

long long find(const std::string& s, const Call& call, bool last) {
  const std::string& what = need_text(call, 0);
  const size_t at = last ? s.rfind(what) : s.find(what);
  return at == std::string::npos ? -1 : static_cast<long long>(code_points(std::string_view(s).substr(0, at)).size());
}

V index(const std::string& s, const Call& call) {
  const long long at = find(s, call, false);
  if (at < 0) throw Error("substring not found");
  return V::of(at);
}

V count(const std::string& s, const Call& call) {
  const std::string& what = need_text(call, 0);
  if (what.empty()) return V::of(static_cast<long long>(code_points(s).size()) + 1);
  long long n = 0;
  for (size_t at = 0; (at = s.find(what, at)) != std::string::npos; at += what.size()) n++;
  return V::of(n);
}

template <class Test>
V all(const std::string& s, Test test) {
  const auto points = code_points(s);
  return V::of(!points.empty() && std::ranges::all_of(points, test));
}

// str.format: {} and {0} and {name}.
std::string format(const std::string& s, const Call& call) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < s.size(); i++) {
    if (s.compare(i, 2, "{{") == 0 || s.compare(i, 2, "}}") == 0) {
      out += s[i++];
    } else if (s[i] == '{') {
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
  return out;
}

V join(const std::string& s, const Call& call) {
  Call by;
  by.positional.push_back(V::of(s));
  return *apply_filter("join", call.positional.at(0), by);
}

using TextMethod = V (*)(const std::string& s, const Call& call);

const std::unordered_map<std::string_view, TextMethod>& text_methods() {
  static const std::unordered_map<std::string_view, TextMethod> table = {
      {"strip", [](const std::string& s, const Call& c) { return V::of(strip(s, c, true, true)); }},
      {"lstrip", [](const std::string& s, const Call& c) { return V::of(strip(s, c, true, false)); }},
      {"rstrip", [](const std::string& s, const Call& c) { return V::of(strip(s, c, false, true)); }},
      {"upper", [](const std::string& s, const Call&) { return V::of(to_upper(s)); }},
      {"lower", [](const std::string& s, const Call&) { return V::of(to_lower(s)); }},
      {"capitalize", [](const std::string& s, const Call&) { return V::of(capitalize(s)); }},
      {"title",
       [](const std::string& s, const Call&) {  // a word is a run of letters
         std::string out;
         bool inside = false;
         for (std::string_view point : code_points(s)) {
           out += inside ? to_lower(std::string(point)) : to_upper(std::string(point));
           inside = is_letter(point);
         }
         return V::of(out);
       }},
      {"split", [](const std::string& s, const Call& c) { return split(s, c, false); }},
      {"rsplit", [](const std::string& s, const Call& c) { return split(s, c, true); }},
      {"splitlines", [](const std::string& s, const Call&) { return split_lines(s); }},
      {"startswith", [](const std::string& s, const Call& c) { return V::of(affix(s, c, true)); }},
      {"endswith", [](const std::string& s, const Call& c) { return V::of(affix(s, c, false)); }},
      {"replace", [](const std::string& s, const Call& c) { return V::of(replace(s, c)); }},
      {"find", [](const std::string& s, const Call& c) { return V::of(find(s, c, false)); }},
      {"rfind", [](const std::string& s, const Call& c) { return V::of(find(s, c, true)); }},
      {"index", index},
      {"count", count},
      {"join", join},
      {"format", [](const std::string& s, const Call& c) { return V::of(format(s, c)); }},
      {"isdigit", [](const std::string& s, const Call&) { return all(s, is_digit); }},
      {"isdecimal", [](const std::string& s, const Call&) { return all(s, is_digit); }},
      {"isnumeric", [](const std::string& s, const Call&) { return all(s, is_digit); }},
      {"isalpha", [](const std::string& s, const Call&) { return all(s, is_letter); }},
      {"isalnum", [](const std::string& s, const Call&) { return all(s, [](std::string_view p) { return is_letter(p) || is_digit(p); }); }},
      {"isspace", [](const std::string& s, const Call&) { return all(s, begins_with_space); }},
      {"isupper", [](const std::string& s, const Call&) { return V::of(*apply_test("upper", V::of(s), {})); }},
      {"islower", [](const std::string& s, const Call&) { return V::of(*apply_test("lower", V::of(s), {})); }},
      {"removeprefix", [](const std::string& s, const Call& c) { return V::of(s.starts_with(need_text(c, 0)) ? s.substr(c.positional[0].text.size()) : s); }},
      {"removesuffix", [](const std::string& s, const Call& c) { return V::of(s.ends_with(need_text(c, 0)) ? s.substr(0, s.size() - c.positional[0].text.size()) : s); }},
  };
  return table;
}

V text_method(const V& object, const std::string& name, const Call& call) {
  V out = text_methods().at(name)(object.text, call);
  if (out.is(Type::string)) out.flag = object.flag;
  return out;
}

// Python's sandbox refuses to change lists and dicts; templates written for llama.cpp do it, so it works here.
V list_method(const V& list, const std::string& name, const Call& call) {
  Values& items = *list.items;
  const auto count = static_cast<long long>(items.size());
  const auto room = [&](size_t more) {
    if (items.size() + more > static_cast<size_t>(template_max_items)) throw Error("makes a list of more than {} items", template_max_items);
  };
  if (name == "append") {
    room(1);
    items.push_back(call.positional.at(0));
    return V::none_value();
  }
  if (name == "extend") {
    const Values more = iterate(call.positional.at(0));
    room(more.size());
    items.insert(items.end(), more.begin(), more.end());
    return V::none_value();
  }
  if (name == "insert") {
    room(1);
    const long long at = call.positional.at(0).as_integer();
    const V item = call.positional.at(1);
    items.insert(items.begin() + static_cast<ptrdiff_t>(std::clamp(at < 0 ? at + count : at, 0LL, count)), item);
    return V::none_value();
  }
  if (name == "pop") {
    if (items.empty()) throw Error("pop from empty list");
    const long long given = call.positional.empty() ? count - 1 : call.positional[0].as_integer();
    const long long at = given < 0 ? given + count : given;
    if (at < 0 || at >= count) throw Error("pop index out of range");
    V out = items[static_cast<size_t>(at)];
    items.erase(items.begin() + static_cast<ptrdiff_t>(at));
    return out;
  }
  if (name == "reverse") {
    std::ranges::reverse(items);
    return V::none_value();
  }
  if (name == "copy") return V::list(items);
  const V& wanted = call.positional.at(0);
  if (name == "count") return V::of(static_cast<long long>(std::ranges::count_if(items, [&](const V& v) { return equal(v, wanted); })));
  const auto found = std::ranges::find_if(items, [&](const V& v) { return equal(v, wanted); });  // index
  if (found == items.end()) throw Error("{} is not in list", wanted.repr());
  return V::of(static_cast<long long>(found - items.begin()));
}

V dict_method(const V& dict, const std::string& name, const Call& call) {
  V target = dict;
  if (name == "items") return *apply_filter("items", dict, {});
  if (name == "keys") return V::list(iterate(dict));
  if (name == "copy") return V::dict(*dict.pairs);
  if (name == "values") {
    Values out;
    for (const auto& pair : *dict.pairs) out.push_back(pair.second);
    return V::list(out);
  }
  if (name == "update") {
    if (!call.positional.empty() && call.positional[0].is(Type::dict)) {
      const V::Pairs more = *call.positional[0].pairs;
      for (const auto& [key, value] : more) target.set(key, value);
    }
    for (const auto& [key, value] : call.named) target.set(V::of(key), value);
    return V::none_value();
  }
  const V key = call.positional.at(0);
  const V* found = dict.find(key);
  const V* otherwise = argument(call, 1, "default");
  if (name == "get") return found ? *found : otherwise ? *otherwise : V::none_value();
  if (name == "setdefault") {
    if (found) return *found;
    target.set(key, otherwise ? *otherwise : V::none_value());
    return *dict.find(key);
  }
  if (!found && !otherwise) throw Error("KeyError: {}", key.repr());  // pop
  const V out = found ? *found : *otherwise;
  std::erase_if(*dict.pairs, [&](const auto& pair) { return equal(pair.first, key); });
  return out;
}

bool is_one_of(const std::string& name, std::initializer_list<std::string_view> names) { return std::ranges::find(names, name) != names.end(); }

}  // namespace

std::string to_upper(const std::string& text) { return change_case(text, utf8proc_toupper, true); }
std::string to_lower(const std::string& text) { return change_case(text, utf8proc_tolower, false); }

std::string capitalize(const std::string& text) {
  if (text.empty()) return text;
  const size_t first = utf8_step(text);
  return to_upper(text.substr(0, first)) + to_lower(text.substr(first));
}

bool has_method(const V& object, const std::string& name) {
  switch (object.type) {
    case Type::string: return text_methods().contains(name);
    case Type::list:
      if (is_one_of(name, {"index", "count"})) return true;
      return !object.flag && is_one_of(name, {"append", "extend", "insert", "pop", "reverse", "copy"});
    case Type::dict: return !object.flag && is_one_of(name, {"get", "items", "keys", "values", "update", "setdefault", "pop", "copy"});
    default: return false;
  }
}

std::optional<V> call_method(const V& object, const std::string& name, const Call& call) {
  if (!has_method(object, name)) return {};
  try {
    if (object.is(Type::string)) return text_method(object, name, call);
    return object.is(Type::list) ? list_method(object, name, call) : dict_method(object, name, call);
  } catch (const std::out_of_range&) {
    throw Error("{}() needs more arguments", name);
  }
}

}  // namespace moiety
