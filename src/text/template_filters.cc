// Filters and tests.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "base/error.h"
#include "text/template_value.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

std::string need_text(const V& v) { return v.str(); }

Values iterate(const V& v) {
  switch (v.type) {
    case Type::list: return *v.items;
    case Type::dict: {
      Values keys;
      for (const auto& pair : *v.pairs) keys.push_back(pair.first);
      return keys;
    }
    case Type::string: {
      Values out;
      for (std::string_view point : code_points(v.text)) out.push_back(V::of(std::string(point)));
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
      value = attribute_path(value, V::of(static_cast<long long>(std::atoi(name.c_str()))));
    else
      value = attribute_of(value, name);
    at = dot + 1;
  }
  return value;
}

std::string map_ascii(std::string s, int (*change)(int)) {
  for (char& c : s) c = static_cast<char>(change(static_cast<unsigned char>(c)));
  return s;
}

std::string capitalize(const std::string& s) {
  std::string out = map_ascii(s, std::tolower);
  if (!out.empty()) out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out;
}

std::string title(const std::string& s) {
  std::string out = map_ascii(s, std::tolower);
  bool begins = true;
  for (char& c : out) {
    if (begins) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    begins = std::isspace(static_cast<unsigned char>(c)) || std::string_view("-([{<").find(c) != std::string_view::npos;
  }
  return out;
}

V sorted(const V& value, const Call& call) {
  const V* reverse = argument(call, 0, "reverse");
  const V* sensitive = argument(call, 1, "case_sensitive");
  const V* attribute = argument(call, 2, "attribute");
  Values items = iterate(value);
  auto key = [&](const V& v) {
    V k = attribute ? attribute_path(v, *attribute) : v;
    if (k.is(Type::string) && !(sensitive && sensitive->truthy())) k.text = map_ascii(k.text, std::tolower);
    return k;
  };
  const bool down = reverse && reverse->truthy();
  std::ranges::stable_sort(items, [&](const V& a, const V& b) {
    const auto o = order(key(a), key(b));
    if (!o) throw Error("'<' not supported between instances of '{}' and '{}'", key(a).type_name(), key(b).type_name());
    return down ? *o > 0 : *o < 0;
  });
  return V::list(items);
}

V select(const V& value, const Call& call, bool by_attribute, bool keep) {
  Values out;
  const size_t first = by_attribute ? 1 : 0;
  if (by_attribute && call.positional.empty()) throw Error("missing attribute name");
  for (const V& item : iterate(value)) {
    const V subject = by_attribute ? attribute_path(item, call.positional[0]) : item;
    bool passes = subject.truthy();
    if (call.positional.size() > first) {
      Call rest;
      rest.positional.assign(call.positional.begin() + static_cast<ptrdiff_t>(first) + 1, call.positional.end());
      const auto result = apply_test(call.positional[first].str(), subject, rest);
      if (!result) throw Error("No test named '{}'", call.positional[first].str());
      passes = *result;
    }
    if (passes == keep) out.push_back(item);
  }
  return V::list(out);
}

V map(const V& value, const Call& call) {
  Values out;
  const V* attribute = argument(call, SIZE_MAX, "attribute");
  const V* otherwise = argument(call, SIZE_MAX, "default");
  for (const V& item : iterate(value)) {
    if (attribute) {
      V found = attribute_path(item, *attribute);
      out.push_back(found.is(Type::undefined) && otherwise ? *otherwise : found);
    } else {
      if (call.positional.empty()) throw Error("map requires a filter argument");
      Call rest;
      rest.positional.assign(call.positional.begin() + 1, call.positional.end());
      rest.named = call.named;
      const auto result = apply_filter(call.positional[0].str(), item, rest);
      if (!result) throw Error("No filter named '{}'", call.positional[0].str());
      out.push_back(*result);
    }
  }
  return V::list(out);
}

V json_filter(const V& value, const Call& call) {
  JsonStyle style;
  if (const V* a = argument(call, 0, "ensure_ascii")) style.ensure_ascii = a->truthy();
  if (const V* i = argument(call, 1, "indent"); i && i->is_number()) style.indent = static_cast<int>(std::clamp(i->as_integer(), 0LL, 64LL));
  if (const V* s = argument(call, 2, "separators"); s && s->is(Type::list) && s->items->size() == 2)
    style.item_separator = (*s->items)[0].str(), style.key_separator = (*s->items)[1].str();
  if (const V* k = argument(call, 3, "sort_keys")) style.sort_keys = k->truthy();
  return V::of(to_json(value, style));
}

V indent(const V& value, const Call& call) {
  const V* width = argument(call, 0, "width");
  const V* first = argument(call, 1, "first");
  const V* blank = argument(call, 2, "blank");
  std::string pad(4, ' ');
  if (width) pad = width->is(Type::string) ? width->text : std::string(static_cast<size_t>(std::clamp(width->as_integer(), 0LL, 1000LL)), ' ');
  std::string out;
  const std::string text = need_text(value) + "\n";
  bool begin = true;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    if (!begin) out += '\n';
    if (begin ? first && first->truthy() : !line.empty() || (blank && blank->truthy())) out += pad;
    out += line;
    begin = false;
    at = end + 1;
  }
  return V::of(out);
}

V number_of(const V& value, const Call& call, bool integer) {
  const V* otherwise = argument(call, 0, "default");
  if (value.is_number()) return integer ? V::of(static_cast<long long>(value.is(Type::floating) ? value.number : static_cast<double>(value.as_integer()))) : V::of(value.as_number());
  char* end = nullptr;
  const std::string text = value.str();
  const double number = std::strtod(text.c_str(), &end);
  const bool good = !text.empty() && text.find_first_not_of(" \t\n", static_cast<size_t>(end - text.c_str())) == std::string::npos && end != text.c_str();
  if (!good) return otherwise ? *otherwise : integer ? V::of(0LL) : V::of(0.0);
  return integer ? V::of(static_cast<long long>(number)) : V::of(number);
}

V round(const V& value, const Call& call) {
  const V* precision = argument(call, 0, "precision");
  const V* method = argument(call, 1, "method");
  const double scale = std::pow(10, precision ? precision->as_number() : 0), x = value.as_number() * scale;
  const std::string how = method ? method->str() : "common";
  return V::of((how == "ceil" ? std::ceil(x) : how == "floor" ? std::floor(x) : std::nearbyint(x)) / scale);
}

V extreme(const V& value, const Call& call, int sign) {
  const V* attribute = argument(call, 1, "attribute");
  const Values items = iterate(value);
  if (items.empty()) return V::undefined("");
  auto key = [&](const V& v) { return attribute ? attribute_path(v, *attribute) : v; };
  return *std::ranges::max_element(items, [&](const V& a, const V& b) { return order(key(a), key(b)).value_or(0) * sign < 0; });
}

V unique(const V& value) {
  Values out;
  for (const V& item : iterate(value))
    if (std::ranges::none_of(out, [&](const V& seen) {
          if (seen.is(Type::string) && item.is(Type::string)) return map_ascii(seen.text, std::tolower) == map_ascii(item.text, std::tolower);
          return equal(seen, item);
        }))
      out.push_back(item);
  return V::list(out);
}

std::string join(const V& value, const Call& call) {
  const V* separator = argument(call, 0, "d");
  const V* attribute = argument(call, 1, "attribute");
  std::string out;
  bool first = true;
  for (const V& item : iterate(value)) {
    if (!first && separator) out += separator->str();
    out += (attribute ? attribute_path(item, *attribute) : item).str();
    first = false;
  }
  return out;
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

V length(const V& v) {
  if (v.is(Type::string)) return V::of(static_cast<long long>(code_points(v.text).size()));
  if (v.is(Type::list)) return V::of(static_cast<long long>(v.items->size()));
  if (v.is(Type::dict)) return V::of(static_cast<long long>(v.pairs->size()));
  if (v.is(Type::undefined)) return V::of(0LL);
  throw Error("object of type '{}' has no len()", v.type_name());
}

V dict_items(const V& v) {
  if (v.is(Type::undefined)) return V::list({});
  if (!v.is(Type::dict)) throw Error("Can only get item pairs from a mapping.");
  Values out;
  for (const auto& [key, value] : *v.pairs) out.push_back(V::list({key, value}, true));
  return V::list(out);
}

V dictsort(const V& v, const Call& call) {
  Call by;
  const V* what = argument(call, 1, "by");
  by.named.emplace_back("attribute", V::of(what && what->str() == "value" ? 1LL : 0LL));
  if (const V* c = argument(call, 0, "case_sensitive")) by.named.emplace_back("case_sensitive", *c);
  if (const V* r = argument(call, 2, "reverse")) by.named.emplace_back("reverse", *r);
  return sorted(dict_items(v), by);
}

V sum(const V& value, const Call& call) {
  const V* attribute = argument(call, 0, "attribute");
  const V* start = argument(call, 1, "start");
  double total = start ? start->as_number() : 0;
  bool real = start && start->is(Type::floating);
  for (const V& item : iterate(value)) {
    const V x = attribute ? attribute_path(item, *attribute) : item;
    if (!x.is_number()) throw Error("unsupported operand type(s) for +: 'int' and '{}'", x.type_name());
    real |= x.is(Type::floating);
    total += x.as_number();
  }
  return real ? V::of(total) : V::of(static_cast<long long>(total));
}

V batch(const V& value, const Call& call) {
  const V* count = argument(call, 0, "linecount");
  const V* fill = argument(call, 1, "fill_with");
  const size_t n = static_cast<size_t>(std::max(1LL, count ? count->as_integer() : 1));
  Values out, row;
  for (const V& item : iterate(value)) {
    row.push_back(item);
    if (row.size() == n) out.push_back(V::list(std::exchange(row, {})));
  }
  if (!row.empty()) {
    while (fill && row.size() < n) row.push_back(*fill);
    out.push_back(V::list(row));
  }
  return V::list(out);
}

V replace(const V& value, const Call& call) {
  if (call.positional.size() < 2) throw Error("replace needs two arguments");
  const auto result = call_method(V::of(value.str()), "replace", call);
  return *result;
}

V first_or_last(const V& v, bool first) {
  const Values items = iterate(v);
  if (items.empty()) return V::undefined("");
  return first ? items.front() : items.back();
}

using Filter = V (*)(const V&, const Call&);

const std::unordered_map<std::string, Filter>& filters() {
  static const std::unordered_map<std::string, Filter> table = {
      {"trim", [](const V& v, const Call& c) { return *call_method(V::of(v.str()), "strip", c); }},
      {"strip", [](const V& v, const Call& c) { return *call_method(V::of(v.str()), "strip", c); }},
      {"length", [](const V& v, const Call&) { return length(v); }},
      {"count", [](const V& v, const Call&) { return length(v); }},
      {"upper", [](const V& v, const Call& c) { return *call_method(V::of(v.str()), "upper", c); }},
      {"lower", [](const V& v, const Call& c) { return *call_method(V::of(v.str()), "lower", c); }},
      {"capitalize", [](const V& v, const Call&) { return V::of(capitalize(v.str())); }},
      {"title", [](const V& v, const Call&) { return V::of(title(v.str())); }},
      {"join", [](const V& v, const Call& c) { return V::of(join(v, c)); }},
      {"default",
       [](const V& v, const Call& c) {
         const V* other = argument(c, 0, "default_value");
         const V* falsy = argument(c, 1, "boolean");
         return v.is(Type::undefined) || (falsy && falsy->truthy() && !v.truthy()) ? (other ? *other : V::of(std::string())) : v;
       }},
      {"map", map},
      {"select", [](const V& v, const Call& c) { return select(v, c, false, true); }},
      {"reject", [](const V& v, const Call& c) { return select(v, c, false, false); }},
      {"selectattr", [](const V& v, const Call& c) { return select(v, c, true, true); }},
      {"rejectattr", [](const V& v, const Call& c) { return select(v, c, true, false); }},
      {"list", [](const V& v, const Call&) { return V::list(iterate(v)); }},
      {"first", [](const V& v, const Call&) { return first_or_last(v, true); }},
      {"last", [](const V& v, const Call&) { return first_or_last(v, false); }},
      {"items", [](const V& v, const Call&) { return dict_items(v); }},
      {"dictsort", dictsort},
      {"sort", sorted},
      {"replace", replace},
      {"string", [](const V& v, const Call&) { return V::of(v.str()); }},
      {"int", [](const V& v, const Call& c) { return number_of(v, c, true); }},
      {"float", [](const V& v, const Call& c) { return number_of(v, c, false); }},
      {"abs", [](const V& v, const Call&) { return v.is(Type::floating) ? V::of(std::abs(v.number)) : V::of(std::abs(v.as_integer())); }},
      {"round", round},
      {"sum", sum},
      {"unique", [](const V& v, const Call&) { return unique(v); }},
      {"reverse",
       [](const V& v, const Call&) {
         Values items = iterate(v);
         std::ranges::reverse(items);
         if (!v.is(Type::string)) return V::list(items);
         std::string out;
         for (const V& item : items) out += item.text;
         return V::of(out);
       }},
      {"safe", [](const V& v, const Call&) { return v; }},
      {"escape", [](const V& v, const Call&) { return V::of(escape_html(v.str())); }},
      {"indent", indent},
      {"tojson", json_filter},
      {"wordcount",
       [](const V& v, const Call&) {
         long long words = 0;
         bool inside = false;
         for (unsigned char c : v.str()) {
           const bool letter = std::isalnum(c) || c == '_' || c >= 128;
           words += letter && !inside;
           inside = letter;
         }
         return V::of(words);
       }},
      {"min", [](const V& v, const Call& c) { return extreme(v, c, -1); }},
      {"max", [](const V& v, const Call& c) { return extreme(v, c, 1); }},
      {"batch", batch},
      {"attr", [](const V& v, const Call& c) { return c.positional.empty() ? V::undefined("") : attribute_of(v, c.positional[0].str()); }},
      {"format", [](const V& v, const Call& c) { return *call_method(v, "%", c); }},
  };
  return table;
}

}  // namespace

std::optional<V> apply_filter(const std::string& given, const V& value, const Call& call) {
  std::string name = given;
  if (name == "d") name = "default";
  if (name == "e") name = "escape";
  const auto found = filters().find(name);
  if (found == filters().end()) return {};
  return found->second(value, call);
}

std::optional<bool> apply_test(const std::string& name, const V& v, const Call& call) {
  auto other = [&]() -> const V& {
    if (call.positional.empty()) throw Error("test {} needs an argument", name);
    return call.positional[0];
  };
  auto compared = [&](auto good) {
    const auto o = order(v, other());
    if (!o) throw Error("'{}' and '{}' have no order", v.type_name(), other().type_name());
    return good(*o);
  };
  if (name == "defined") return !v.is(Type::undefined);
  if (name == "undefined") return v.is(Type::undefined);
  if (name == "none") return v.is(Type::none);
  if (name == "string") return v.is(Type::string);
  if (name == "number") return v.is_number();
  if (name == "integer") return v.is(Type::integer);
  if (name == "float") return v.is(Type::floating);
  if (name == "boolean") return v.is(Type::boolean);
  if (name == "true") return v.is(Type::boolean) && v.flag;
  if (name == "false") return v.is(Type::boolean) && !v.flag;
  if (name == "mapping") return v.is(Type::dict);
  if (name == "iterable") return v.is(Type::list) || v.is(Type::dict) || v.is(Type::string) || v.is(Type::undefined);
  if (name == "sequence") return v.is(Type::list) || v.is(Type::dict) || v.is(Type::string) || v.is(Type::undefined);
  if (name == "callable") return v.is(Type::function);
  if (name == "odd") return v.as_integer() % 2 != 0;
  if (name == "even") return v.as_integer() % 2 == 0;
  if (name == "divisibleby") {
    if (other().as_integer() == 0) throw Error("integer modulo by zero");
    return v.as_integer() % other().as_integer() == 0;
  }
  if (name == "eq" || name == "equalto" || name == "==" || name == "sameas") return equal(v, other());
  if (name == "ne" || name == "!=") return !equal(v, other());
  if (name == "gt" || name == "greaterthan" || name == ">") return compared([](int o) { return o > 0; });
  if (name == "ge" || name == ">=") return compared([](int o) { return o >= 0; });
  if (name == "lt" || name == "lessthan" || name == "<") return compared([](int o) { return o < 0; });
  if (name == "le" || name == "<=") return compared([](int o) { return o <= 0; });
  if (name == "in") return contains(other(), v);
  if (name == "lower") return v.is(Type::string) && v.text == map_ascii(v.text, std::tolower) && v.text != map_ascii(v.text, std::toupper);
  if (name == "upper") return v.is(Type::string) && v.text == map_ascii(v.text, std::toupper) && v.text != map_ascii(v.text, std::tolower);
  if (name == "filter") return filters().contains(v.str());
  return {};
}

}  // namespace moiety
