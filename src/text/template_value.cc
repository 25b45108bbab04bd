#include "text/template_value.h"

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
V V::of(std::string s) {
  V v;
  v.type = Type::string, v.text = std::move(s);
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

V V::from_json(const nlohmann::ordered_json& j) {
  switch (j.type()) {
    case nlohmann::json::value_t::boolean: return of(j.get<bool>());
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned: return of(static_cast<long long>(j.get<int64_t>()));
    case nlohmann::json::value_t::number_float: return of(j.get<double>());
    case nlohmann::json::value_t::string: return of(j.get<std::string>());
    case nlohmann::json::value_t::array: {
      Values items;
      for (const auto& item : j) items.push_back(from_json(item));
      return list(std::move(items));
    }
    case nlohmann::json::value_t::object: {
      Pairs pairs;
      for (const auto& [key, value] : j.items()) pairs.emplace_back(of(key), from_json(value));
      return dict(std::move(pairs));
    }
    default: return none_value();
  }
}

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

std::string quoted(const std::string& s) {
  const char quote = s.find('\'') != std::string::npos && s.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (char c : s) {
    if (c == quote || c == '\\') (out += '\\') += c;
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (static_cast<unsigned char>(c) < 32 || c == 127) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else out += c;
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

std::string V::str() const {
  if (type == Type::string) return text;
  if (type == Type::undefined) return "";
  return repr();
}

std::string V::repr() const {
  switch (type) {
    case Type::undefined: return "Undefined";
    case Type::none: return "None";
    case Type::boolean: return flag ? "True" : "False";
    case Type::integer: return std::to_string(integer);
    case Type::floating: return float_text(number);
    case Type::string: return quoted(text);
    case Type::function: return "<function>";
    case Type::list: {
      std::string out = flag ? "(" : "[";
      for (size_t i = 0; i < items->size(); i++) out += (i ? ", " : "") + (*items)[i].repr();
      if (flag && items->size() == 1) out += ",";
      return out + (flag ? ")" : "]");
    }
    case Type::dict: {
      std::string out = flag ? "<Namespace {" : "{";
      for (size_t i = 0; i < pairs->size(); i++) out += (i ? ", " : "") + (*pairs)[i].first.repr() + ": " + (*pairs)[i].second.repr();
      return out + (flag ? "}>" : "}");
    }
  }
  return "";
}

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

bool equal(const V& a, const V& b) {
  if (a.is_number() && b.is_number()) return a.as_number() == b.as_number();
  if (a.type != b.type) return false;
  switch (a.type) {
    case Type::string: return a.text == b.text;
    case Type::list:
      return a.items->size() == b.items->size() && std::equal(a.items->begin(), a.items->end(), b.items->begin(), [](const V& x, const V& y) { return equal(x, y); });
    case Type::dict:
      if (a.pairs->size() != b.pairs->size()) return false;
      return std::ranges::all_of(*a.pairs, [&](const auto& p) {
        const V* other = b.find(p.first);
        return other && equal(p.second, *other);
      });
    case Type::function: return a.function == b.function;
    default: return true;
  }
}

std::optional<int> order(const V& a, const V& b) {
  if (a.is_number() && b.is_number()) return a.as_number() < b.as_number() ? -1 : a.as_number() > b.as_number() ? 1 : 0;
  if (a.is(Type::string) && b.is(Type::string)) return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
  if (a.is(Type::list) && b.is(Type::list)) {
    for (size_t i = 0; i < std::min(a.items->size(), b.items->size()); i++) {
      const auto first = order((*a.items)[i], (*b.items)[i]);
      if (!first || *first != 0) return first;
    }
    return a.items->size() < b.items->size() ? -1 : a.items->size() > b.items->size() ? 1 : 0;
  }
  return {};
}

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

std::string to_json(const V& v, const JsonStyle& style, int level) {
  const std::string separator = !style.item_separator.empty() ? style.item_separator : style.indent >= 0 ? "," : ", ";
  const auto line = [&](int at) { return style.indent >= 0 ? "\n" + std::string(static_cast<size_t>(style.indent * at), ' ') : std::string(); };
  switch (v.type) {
    case Type::none: return "null";
    case Type::boolean: return v.flag ? "true" : "false";
    case Type::integer: return std::to_string(v.integer);
    case Type::floating: return std::isnan(v.number) ? "NaN" : std::isinf(v.number) ? (v.number < 0 ? "-Infinity" : "Infinity") : float_text(v.number);
    case Type::string: return json_string(v.text, style.ensure_ascii);
    case Type::list: {
      if (v.items->empty()) return "[]";
      std::string out = "[";
      for (size_t i = 0; i < v.items->size(); i++) out += (i ? separator : "") + line(level + 1) + to_json((*v.items)[i], style, level + 1);
      return out + line(level) + "]";
    }
    case Type::dict: {
      if (v.pairs->empty()) return "{}";
      std::vector<const std::pair<V, V>*> sorted;
      for (const auto& pair : *v.pairs) sorted.push_back(&pair);
      if (style.sort_keys) std::ranges::stable_sort(sorted, {}, [](const auto* p) { return p->first.str(); });
      std::string out = "{";
      for (size_t i = 0; i < sorted.size(); i++) {
        const V& key = sorted[i]->first;
        out += (i ? separator : "") + line(level + 1) + json_string(key.is(Type::string) ? key.text : to_json(key, style), style.ensure_ascii) +
               style.key_separator + to_json(sorted[i]->second, style, level + 1);
      }
      return out + line(level) + "}";
    }
    default: throw Error("Object of type {} is not JSON serializable", v.is(Type::undefined) ? "Undefined" : v.type_name());
  }
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
  if (object.is(Type::dict))
    if (const V* value = object.find(V::of(name))) return *value;
  return V::undefined(name);
}

}  // namespace moiety
