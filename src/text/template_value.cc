#include "text/template_value.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/utf8.h"

namespace moiety {

using V = TemplateValue;
using Type = V::Type;

V V::none_value() {
  V v;
  v.type = Type::none;
  return v;
}
V V::of(bool b) {
  V v;
  v.type = Type::boolean, v.flag = b;
  return v;
}
V V::of(long long i) {
  V v;
  v.type = Type::integer, v.integer = i;
  return v;
}
V V::of(double d) {
  V v;
  v.type = Type::floating, v.number = d;
  return v;
}
V V::of(std::string s, bool markup) {
  V v;
  v.type = Type::string, v.text = std::move(s), v.flag = markup;
  return v;
}
V V::list(Values items, bool tuple) {
  V v;
  v.type = Type::list, v.flag = tuple, v.items = std::make_shared<Values>(std::move(items));
  return v;
}
V V::dict(Pairs p) {
  V v;
  v.type = Type::dict, v.pairs = std::make_shared<Pairs>(std::move(p));
  return v;
}
V V::callable(TemplateFunction f) {
  V v;
  v.type = Type::function, v.function = std::make_shared<const TemplateFunction>(std::move(f));
  return v;
}
V V::undefined(std::string name) {
  V v;
  v.text = std::move(name);
  return v;
}

namespace {

void check_depth(int depth) {
  if (depth > template_max_nesting) throw Error("values nest more than {} deep", template_max_nesting);
}

V value_of(const nlohmann::ordered_json& j, int depth) {
  check_depth(depth);
  switch (j.type()) {
    case nlohmann::json::value_t::boolean: return V::of(j.get<bool>());
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned: return V::of(static_cast<long long>(j.get<int64_t>()));
    case nlohmann::json::value_t::number_float: return V::of(j.get<double>());
    case nlohmann::json::value_t::string: return V::of(j.get<std::string>());
    case nlohmann::json::value_t::array: {
      Values items;
      for (const auto& item : j) items.push_back(value_of(item, depth + 1));
      return V::list(std::move(items));
    }
    case nlohmann::json::value_t::object: {
      V::Pairs pairs;
      for (const auto& [key, value] : j.items()) pairs.emplace_back(V::of(key), value_of(value, depth + 1));
      return V::dict(std::move(pairs));
    }
    default: return V::none_value();
  }
}

}  // namespace

V V::from_json(const nlohmann::ordered_json& j) { return value_of(j, 0); }

const char* V::type_name() const {
  constexpr const char* names[] = {"undefined", "None", "bool", "int", "float", "str", "list", "dict", "function"};
  return names[static_cast<size_t>(type)];
}

bool V::truthy() const {
  switch (type) {
    case Type::undefined:
    case Type::none: return false;
    case Type::boolean: return flag;
    case Type::integer: return integer != 0;
    case Type::floating: return number != 0;
    case Type::string: return !text.empty();
    case Type::list: return !items->empty();
    case Type::dict: return flag || !pairs->empty();
    case Type::function: return true;
  }
  return false;
}

namespace {

// The shortest digits that read back as the number, in Python's form.
std::string float_text(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::abs(d);
  const bool plain = d == 0 || (size >= 1e-4 && size < 1e16);
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), d, plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(buffer, end);
  (void)error;
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

// What Python's repr shows as itself: no controls, no spaces but one, nothing unassigned.
bool printable(uint32_t c) {
  if (c == ' ') return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
}

std::string quoted(const std::string& s) {
  const char quote = s.find('\'') != std::string::npos && s.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::string_view point : code_points(s)) {
    const uint32_t c = utf8_code_point(point);
    if (utf8_length(point) == 0) out += point;
    else if (c == static_cast<unsigned char>(quote) || c == '\\') (out += '\\') += point;
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (printable(c)) out += point;
    else if (c < 0x100) out += fmt::format("\\x{:02x}", c);
    else if (c < 0x10000) out += fmt::format("\\u{:04x}", c);
    else out += fmt::format("\\U{:08x}", c);
  }
  return out + quote;
}

std::string json_string(const std::string& s, bool ensure_ascii) {
  std::string out = "\"";
  for (std::string_view point : code_points(s)) {
    const auto c = static_cast<unsigned char>(point[0]);
    if (c == '"') out += "\\\"";
    else if (c == '\\') out += "\\\\";
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (c == '\b') out += "\\b";
    else if (c == '\f') out += "\\f";
    else if (c < 32) out += fmt::format("\\u{:04x}", c);
    else if (c < 128 || !ensure_ascii) out += point;
    else if (uint32_t u = utf8_code_point(point); u < 0x10000) out += fmt::format("\\u{:04x}", u);
    else out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((u - 0x10000) >> 10), 0xdc00 + ((u - 0x10000) & 0x3ff));
  }
  return out + '"';
}

}  // namespace

namespace {

void write_repr(const V& v, std::string& out, int depth) {
  check_depth(depth);
  if (out.size() > template_max_output) throw Error("writes too much");
  switch (v.type) {
    case Type::undefined: out += "Undefined"; return;
    case Type::none: out += "None"; return;
    case Type::boolean: out += v.flag ? "True" : "False"; return;
    case Type::integer: out += std::to_string(v.integer); return;
    case Type::floating: out += float_text(v.number); return;
    case Type::string: out += v.flag ? "Markup(" + quoted(v.text) + ")" : quoted(v.text); return;
    case Type::function: out += "<function>"; return;
    case Type::list: {
      out += v.flag ? "(" : "[";
      for (size_t i = 0; i < v.items->size(); i++) {
        if (i) out += ", ";
        write_repr((*v.items)[i], out, depth + 1);
      }
      if (v.flag && v.items->size() == 1) out += ",";
      out += v.flag ? ")" : "]";
      return;
    }
    case Type::dict: {
      out += v.flag ? "<Namespace {" : "{";
      for (size_t i = 0; i < v.pairs->size(); i++) {
        if (i) out += ", ";
        write_repr((*v.pairs)[i].first, out, depth + 1);
        out += ": ";
        write_repr((*v.pairs)[i].second, out, depth + 1);
      }
      out += v.flag ? "}>" : "}";
      return;
    }
  }
}

size_t walk(const V& v, size_t limit, int depth) {
  check_depth(depth);
  size_t out = 1 + v.text.size() / 64;
  if (v.is(Type::list))
    for (auto item = v.items->begin(); item != v.items->end() && out < limit; ++item) out += walk(*item, limit - out, depth + 1);
  if (v.is(Type::dict))
    for (auto pair = v.pairs->begin(); pair != v.pairs->end() && out < limit; ++pair) out += 1 + walk(pair->second, limit - out, depth + 1);
  return out;
}

}  // namespace

std::string V::str() const {
  if (type == Type::string) return text;
  if (type == Type::undefined) return "";
  return repr();
}

std::string V::repr() const {
  std::string out;
  write_repr(*this, out, 0);
  return out;
}

size_t V::cost(size_t limit) const { return walk(*this, limit, 0); }

const V* V::find(const V& key) const {
  for (const auto& [name, value] : *pairs)
    if (equal(name, key)) return &value;
  return nullptr;
}

void V::set(const V& key, V value) {
  for (auto& [name, old] : *pairs)
    if (equal(name, key)) {
      old = std::move(value);
      return;
    }
  pairs->emplace_back(key, std::move(value));
}

namespace {

bool same(const V& a, const V& b, int depth) {
  check_depth(depth);
  if (a.is_number() && b.is_number()) {
    if (a.is(Type::floating) || b.is(Type::floating)) return a.as_number() == b.as_number();
    return a.as_integer() == b.as_integer();
  }
  if (a.type != b.type) return false;
  switch (a.type) {
    case Type::string: return a.text == b.text;
    case Type::list:
      return a.flag == b.flag && std::ranges::equal(*a.items, *b.items, [&](const V& x, const V& y) { return same(x, y, depth + 1); });
    case Type::dict:
      if (a.flag || b.flag) return a.pairs == b.pairs;
      if (a.pairs->size() != b.pairs->size()) return false;
      return std::ranges::all_of(*a.pairs, [&](const auto& p) {
        const V* other = b.find(p.first);
        return other && same(p.second, *other, depth + 1);
      });
    case Type::function: return a.function == b.function;
    default: return true;
  }
}

template <class T>
int sign_of_difference(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

std::optional<int> compare(const V& a, const V& b, int depth) {
  check_depth(depth);
  if (a.is_number() && b.is_number()) {
    if (a.is(Type::floating) || b.is(Type::floating)) return sign_of_difference(a.as_number(), b.as_number());
    return sign_of_difference(a.as_integer(), b.as_integer());
  }
  if (a.is(Type::string) && b.is(Type::string)) return sign_of_difference(a.text, b.text);
  if (!a.is(Type::list) || !b.is(Type::list) || a.flag != b.flag) return {};
  for (size_t i = 0; i < std::min(a.items->size(), b.items->size()); i++) {
    if (same((*a.items)[i], (*b.items)[i], depth + 1)) continue;
    return compare((*a.items)[i], (*b.items)[i], depth + 1);
  }
  return sign_of_difference(a.items->size(), b.items->size());
}

}  // namespace

bool equal(const V& a, const V& b) { return same(a, b, 0); }
std::optional<int> order(const V& a, const V& b) { return compare(a, b, 0); }

bool contains(const V& container, const V& item) {
  switch (container.type) {
    case Type::string:
      if (!item.is(Type::string)) throw Error("'in <string>' requires string as left operand, not {}", item.type_name());
      return container.text.find(item.text) != std::string::npos;
    case Type::list: return std::ranges::any_of(*container.items, [&](const V& v) { return equal(v, item); });
    case Type::dict: return container.find(item) != nullptr;
    case Type::undefined: return false;
    default: throw Error("argument of type '{}' is not iterable", container.type_name());
  }
}

namespace {

void write_json(const V& v, const JsonStyle& style, int level, std::string& out) {
  check_depth(level);
  if (out.size() > template_max_output) throw Error("writes too much");
  const std::string separator = !style.item_separator.empty() ? style.item_separator : style.indent >= 0 ? "," : ", ";
  const auto line = [&](int at) {
    if (style.indent >= 0) (out += '\n').append(static_cast<size_t>(style.indent * at), ' ');
  };
  switch (v.type) {
    case Type::none: out += "null"; return;
    case Type::boolean: out += v.flag ? "true" : "false"; return;
    case Type::integer: out += std::to_string(v.integer); return;
    case Type::floating: out += std::isnan(v.number) ? "NaN" : std::isinf(v.number) ? (v.number < 0 ? "-Infinity" : "Infinity") : float_text(v.number); return;
    case Type::string: out += json_string(v.text, style.ensure_ascii); return;
    case Type::list: {
      out += '[';
      for (size_t i = 0; i < v.items->size(); i++) {
        if (i) out += separator;
        line(level + 1);
        write_json((*v.items)[i], style, level + 1, out);
      }
      if (!v.items->empty()) line(level);
      out += ']';
      return;
    }
    case Type::dict: {
      std::vector<const std::pair<V, V>*> sorted;
      for (const auto& pair : *v.pairs) sorted.push_back(&pair);
      if (style.sort_keys) std::ranges::stable_sort(sorted, {}, [](const auto* p) { return p->first.str(); });
      out += '{';
      for (size_t i = 0; i < sorted.size(); i++) {
        const V& key = sorted[i]->first;
        if (i) out += separator;
        line(level + 1);
        out += json_string(key.is(Type::string) ? key.text : to_json(key, style), style.ensure_ascii) + style.key_separator;
        write_json(sorted[i]->second, style, level + 1, out);
      }
      if (!sorted.empty()) line(level);
      out += '}';
      return;
    }
    default: throw Error("Object of type {} is not JSON serializable", v.is(Type::undefined) ? "Undefined" : v.type_name());
  }
}

}  // namespace

std::string to_json(const V& v, const JsonStyle& style) {
  std::string out;
  write_json(v, style, 0, out);
  return out;
}

std::vector<std::string_view> code_points(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_step(text.substr(i));
    out.push_back(text.substr(i, n));
    i += n;
  }
  return out;
}

const V* argument(const TemplateCall& call, size_t position, std::string_view name) {
  if (position < call.positional.size()) return &call.positional[position];
  for (const auto& [key, value] : call.named)
    if (key == name) return &value;
  return nullptr;
}

V attribute_of(const V& object, const std::string& name) {
  if (object.is(Type::undefined)) throw Error("'{}' is undefined", object.text);
  if (has_method(object, name)) return bound_method(object, name);
  if (object.is(Type::dict))
    if (const V* value = object.find(V::of(name))) return *value;
  return V::undefined(name);
}

V item_of(const V& object, const V& key) {
  if (object.is(Type::undefined)) throw Error("'{}' is undefined", object.text);
  if (object.is(Type::dict))
    if (const V* found = object.find(key)) return *found;
  if (key.is(Type::string) && has_method(object, key.text)) return bound_method(object, key.text);
  if ((object.is(Type::list) || object.is(Type::string)) && key.is_number() && !key.is(Type::floating)) {
    const auto points = object.is(Type::string) ? code_points(object.text) : std::vector<std::string_view>();
    const auto count = static_cast<long long>(object.is(Type::string) ? points.size() : object.items->size());
    const long long i = key.as_integer() < 0 ? key.as_integer() + count : key.as_integer();
    if (i >= 0 && i < count) return object.is(Type::list) ? (*object.items)[static_cast<size_t>(i)] : V::of(std::string(points[static_cast<size_t>(i)]), object.flag);
  }
  return V::undefined(key.str());
}

V bound_method(const V& object, const std::string& name) {
  return V::callable([object, name](const TemplateCall& call) { return *call_method(object, name, call); });
}

Values iterate(const V& v) {
  switch (v.type) {
    case Type::list: return *v.items;
    case Type::dict: {
      Values keys;
      for (const auto& pair : *v.pairs) keys.push_back(pair.first);
      return keys;
    }
    case Type::string: {
      const auto points = code_points(v.text);
      if (points.size() > template_max_characters) throw Error("takes a text of {} characters apart: too much", points.size());
      Values out;
      for (std::string_view point : points) out.push_back(V::of(std::string(point)));
      return out;
    }
    case Type::undefined: return {};
    default: throw Error("'{}' object is not iterable", v.type_name());
  }
}

V attribute_path(V value, const V& path) {
  if (path.is(Type::integer)) {
    if (!value.is(Type::list)) return V::undefined("");
    const long long n = static_cast<long long>(value.items->size()), i = path.integer < 0 ? path.integer + n : path.integer;
    return i >= 0 && i < n ? (*value.items)[static_cast<size_t>(i)] : V::undefined("");
  }
  const std::string names = path.str();
  for (size_t at = 0; at <= names.size();) {
    const size_t dot = std::min(names.find('.', at), names.size());
    const std::string name = names.substr(at, dot - at);
    if (!name.empty() && std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c); }))
      value = attribute_path(value, V::of(static_cast<long long>(std::strtoll(name.c_str(), nullptr, 10))));
    else
      value = attribute_of(value, name);
    at = dot + 1;
  }
  return value;
}

std::string escape_html(const std::string& s) {
  std::string out;
  for (char c : s) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&#34;";
    else if (c == '\'') out += "&#39;";
    else out += c;
  }
  return out;
}

}  // namespace moiety
