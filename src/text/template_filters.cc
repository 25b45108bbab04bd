// Filters.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "base/error.h"
#include "text/template_value.h"
#include "text/whitespace.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

// A word begins after white space or an opening bracket.
std::string title(const std::string& s) {
  std::string out;
  bool begins = true;
  for (std::string_view point : code_points(s)) {
    out += begins ? to_upper(std::string(point)) : to_lower(std::string(point));
    begins = begins_with_space(point) || std::string_view("-([{<").find(point) != std::string_view::npos;
  }
  return out;
}

// What texts are compared by where case does not count.
V folded(V v, const V* case_sensitive) {
  if (v.is(Type::string) && !(case_sensitive && case_sensitive->truthy())) v.text = to_lower(v.text);
  return v;
}

V sorted(const V& value, const Call& call) {
  const V* reverse = argument(call, 0, "reverse");
  const V* sensitive = argument(call, 1, "case_sensitive");
  const V* attribute = argument(call, 2, "attribute");
  std::vector<std::pair<V, V>> keyed;
  for (const V& v : iterate(value)) keyed.emplace_back(folded(attribute ? attribute_path(v, *attribute) : v, sensitive), v);
  const bool down = reverse && reverse->truthy();
  std::ranges::stable_sort(keyed, [&](const auto& a, const auto& b) {
    const auto o = order(a.first, b.first);
    if (!o) throw Error("'<' not supported between instances of '{}' and '{}'", a.first.type_name(), b.first.type_name());
    return down ? *o > 0 : *o < 0;
  });
  Values items;
  for (auto& [key, v] : keyed) items.push_back(std::move(v));
  return V::list(items);
}

V select(const V& value, const Call& call, bool by_attribute, bool keep) {
  Values out;
  if (!value.truthy()) return V::list(out);  // none as well
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
  if (!value.truthy()) return V::list(out);  // none as well
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
  if (!value.is(Type::string)) throw Error("a '{}' cannot be indented", value.type_name());
  const V* width = argument(call, 0, "width");
  const V* first = argument(call, 1, "first");
  const V* blank = argument(call, 2, "blank");
  std::string pad(4, ' ');
  if (width) pad = width->is(Type::string) ? width->text : std::string(static_cast<size_t>(std::clamp(width->as_integer(), 0LL, 1000LL)), ' ');
  std::string out;
  const V lines = *call_method(V::of(value.text + "\n"), "splitlines", {});
  for (size_t i = 0; i < lines.items->size(); i++) {
    const std::string& line = (*lines.items)[i].text;
    if (i) out += '\n';
    if (i ? !line.empty() || (blank && blank->truthy()) : first && first->truthy()) out += pad;
    out += line;
    if (out.size() > template_max_output) throw Error("writes too much");
  }
  return V::of(out, value.flag);
}

// A number, or a text that Python reads as one.
std::optional<double> read_number(const V& value) {
  if (value.is(Type::undefined)) throw Error("'{}' is undefined", value.text);
  if (value.is_number()) return value.as_number();
  if (!value.is(Type::string)) return {};
  const std::string text(strip_right(strip_left(value.text)));
  if (text.empty() || text.find_first_of("xXpP(") != std::string::npos) return {};
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size()) return {};
  return number;
}

V to_float(const V& value, const Call& call) {
  const V* otherwise = argument(call, 0, "default");
  const auto number = read_number(value);
  return number ? V::of(*number) : otherwise ? *otherwise : V::of(0.0);
}

V to_int(const V& value, const Call& call) {
  const V* otherwise = argument(call, 0, "default");
  if (value.is_number() && !value.is(Type::floating)) return V::of(value.as_integer());
  const auto number = read_number(value);
  if (!number || !std::isfinite(*number)) return otherwise ? *otherwise : V::of(0LL);
  if (std::abs(*number) >= 9.2e18) throw Error("a number beyond 64 bits");
  return V::of(static_cast<long long>(*number));
}

V round(const V& value, const Call& call) {
  const V* precision = argument(call, 0, "precision");
  const V* method = argument(call, 1, "method");
  const std::string how = method ? method->str() : "common";
  if (!value.is_number()) throw Error("a '{}' cannot be rounded", value.type_name());
  const long long digits = precision ? std::clamp(precision->as_integer(), -300LL, 300LL) : 0;
  if (how == "ceil" || how == "floor") {
    const double scale = std::pow(10, static_cast<double>(digits)), x = value.as_number() * scale;
    return V::of((how == "ceil" ? std::ceil(x) : std::floor(x)) / scale);
  }
  if (how != "common") throw Error("method must be common, ceil or floor");
  if (!value.is(Type::floating) && digits >= 0) return V::of(value.as_integer());
  if (digits >= 0) return V::of(std::strtod(fmt::format("{:.{}f}", value.number, digits).c_str(), nullptr));
  const double scale = std::pow(10, static_cast<double>(-digits)), rounded = std::nearbyint(value.as_number() / scale) * scale;
  return value.is(Type::floating) ? V::of(rounded) : V::of(static_cast<long long>(rounded));
}

V absolute(const V& v) {
  if (!v.is_number()) throw Error("bad operand type for abs(): '{}'", v.type_name());
  return v.as_number() < 0 || (v.is(Type::floating) && std::signbit(v.number)) ? negate("-", v) : negate("+", v);
}

V extreme(const V& value, const Call& call, int sign) {
  const V* sensitive = argument(call, 0, "case_sensitive");
  const V* attribute = argument(call, 1, "attribute");
  const Values items = iterate(value);
  if (items.empty()) return V::undefined("");
  const auto key = [&](const V& v) { return folded(attribute ? attribute_path(v, *attribute) : v, sensitive); };
  size_t best = 0;
  for (size_t i = 1; i < items.size(); i++) {
    const auto o = order(key(items[i]), key(items[best]));
    if (!o) throw Error("'{}' and '{}' have no order", items[i].type_name(), items[best].type_name());
    if (*o == sign) best = i;
  }
  return items[best];
}

V unique(const V& value, const Call& call) {
  const V* sensitive = argument(call, 0, "case_sensitive");
  const V* attribute = argument(call, 1, "attribute");
  Values out, keys;
  for (const V& item : iterate(value)) {
    const V key = folded(attribute ? attribute_path(item, *attribute) : item, sensitive);
    if (std::ranges::any_of(keys, [&](const V& seen) { return equal(seen, key); })) continue;
    keys.push_back(key);
    out.push_back(item);
    if (keys.size() > 1000) throw Error("unique: more than 1000 different items");
  }
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
    if (out.size() > template_max_output) throw Error("writes too much");
    first = false;
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
  if (!v.is(Type::dict)) throw Error("a '{}' is not sorted by keys", v.type_name());
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
  V total = start ? *start : V::of(0LL);
  if (total.is(Type::string)) throw Error("sum() can't sum strings");
  for (const V& item : iterate(value)) total = calculate("+", total, attribute ? attribute_path(item, *attribute) : item);
  return total;
}

V batch(const V& value, const Call& call) {
  const V* count = argument(call, 0, "linecount");
  const V* fill = argument(call, 1, "fill_with");
  const size_t n = static_cast<size_t>(std::clamp(count ? count->as_integer() : 1, 1LL, template_max_items));
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
  Call texts = call;
  for (size_t i = 0; i < 2; i++) texts.positional[i] = V::of(call.positional[i].str());
  return *call_method(V::of(value.str()), "replace", texts);
}

V reversed(const V& v) {
  Values items = iterate(v);
  std::ranges::reverse(items);
  if (!v.is(Type::string)) return V::list(items);
  std::string out;
  for (const V& item : items) out += item.text;
  return V::of(out);
}

// As a text; markup stays markup.
V text_of(const V& v) { return v.is(Type::string) ? v : V::of(v.str()); }

V word_count(const V& v) {
  long long words = 0;
  bool inside = false;
  for (unsigned char c : v.str()) {
    const bool letter = std::isalnum(c) || c == '_' || c >= 128;
    words += letter && !inside;
    inside = letter;
  }
  return V::of(words);
}

V first_or_last(const V& v, bool first) {
  if (v.is(Type::string)) {
    const auto points = code_points(v.text);
    return points.empty() ? V::undefined("") : V::of(std::string(first ? points.front() : points.back()));
  }
  const Values copy = v.is(Type::list) ? Values() : iterate(v);
  const Values& items = v.is(Type::list) ? *v.items : copy;
  return items.empty() ? V::undefined("") : first ? items.front() : items.back();
}

using Filter = V (*)(const V&, const Call&);

const std::unordered_map<std::string, Filter>& filters() {
  static const std::unordered_map<std::string, Filter> table = {
      {"trim", [](const V& v, const Call& c) { return *call_method(text_of(v), "strip", c); }},
      {"length", [](const V& v, const Call&) { return length(v); }},
      {"upper", [](const V& v, const Call& c) { return *call_method(text_of(v), "upper", c); }},
      {"lower", [](const V& v, const Call& c) { return *call_method(text_of(v), "lower", c); }},
      {"capitalize", [](const V& v, const Call& c) { return *call_method(text_of(v), "capitalize", c); }},
      {"title", [](const V& v, const Call&) { return V::of(title(v.str()), v.is(Type::string) && v.flag); }},
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
      {"string", [](const V& v, const Call&) { return text_of(v); }},
      {"int", to_int},
      {"float", to_float},
      {"abs", [](const V& v, const Call&) { return absolute(v); }},
      {"round", round},
      {"sum", sum},
      {"unique", unique},
      {"reverse", [](const V& v, const Call&) { return reversed(v); }},
      {"safe", [](const V& v, const Call&) { return V::of(v.str(), true); }},
      {"escape", [](const V& v, const Call&) { return v.is(Type::string) && v.flag ? v : V::of(escape_html(v.str()), true); }},
      {"forceescape", [](const V& v, const Call&) { return V::of(escape_html(v.str()), true); }},
      {"indent", indent},
      {"tojson", json_filter},
      {"wordcount", [](const V& v, const Call&) { return word_count(v); }},
      {"min", [](const V& v, const Call& c) { return extreme(v, c, -1); }},
      {"max", [](const V& v, const Call& c) { return extreme(v, c, 1); }},
      {"batch", batch},
      {"attr", [](const V& v, const Call& c) { return c.positional.empty() || v.is(Type::dict) ? V::undefined("") : attribute_of(v, c.positional[0].str()); }},
      {"format", [](const V& v, const Call& c) { return V::of(percent_format(v.str(), c.positional)); }},
  };
  return table;
}

std::string plain_name(const std::string& name) { return name == "d" ? "default" : name == "e" ? "escape" : name == "count" ? "length" : name; }

}  // namespace

std::optional<V> apply_filter(const std::string& name, const V& value, const Call& call) {
  const auto found = filters().find(plain_name(name));
  if (found == filters().end()) return {};
  return found->second(value, call);
}

bool has_filter(const std::string& name) { return filters().contains(plain_name(name)); }

}  // namespace moiety
