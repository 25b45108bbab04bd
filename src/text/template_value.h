// Values of a template: Python's, as far as chat templates use them.
#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moiety {

class TemplateValue;
using Values = std::vector<TemplateValue>;

struct TemplateCall {  // arguments of a call
  Values positional;
  std::vector<std::pair<std::string, TemplateValue>> named;
};
using TemplateFunction = std::function<TemplateValue(const TemplateCall&)>;

class TemplateValue {
 public:
  enum class Type { undefined, none, boolean, integer, floating, string, list, dict, function };
  using Pairs = std::vector<std::pair<TemplateValue, TemplateValue>>;

  Type type = Type::undefined;
  bool flag = false;             // boolean; string: it is markup (|safe); list: it is a tuple; dict: it is a namespace
  long long integer = 0;
  double number = 0;
  std::string text;              // string; undefined: the name that was looked up
  std::shared_ptr<Values> items;
  std::shared_ptr<Pairs> pairs;  // in order of insertion
  std::shared_ptr<const TemplateFunction> function;

  static TemplateValue none_value();
  static TemplateValue of(bool b);
  static TemplateValue of(long long i);
  static TemplateValue of(double d);
  static TemplateValue of(std::string s, bool markup = false);
  static TemplateValue list(Values v, bool tuple = false);
  static TemplateValue dict(Pairs p = {});
  static TemplateValue callable(TemplateFunction f);
  static TemplateValue undefined(std::string name);
  static TemplateValue from_json(const nlohmann::ordered_json& json);

  bool is(Type t) const { return type == t; }
  bool is_number() const { return type == Type::integer || type == Type::floating || type == Type::boolean; }
  double as_number() const { return type == Type::floating ? number : static_cast<double>(as_integer()); }
  long long as_integer() const { return type == Type::boolean ? flag : integer; }
  bool truthy() const;
  std::string str() const;   // Python's str()
  std::string repr() const;  // Python's repr()
  const TemplateValue* find(const TemplateValue& key) const;  // in a dict
  void set(const TemplateValue& key, TemplateValue value);    // in a dict
  // What it takes to walk through all of it, at most `limit`: items of lists within lists, and texts by their length.
  size_t cost(size_t limit) const;
  const char* type_name() const;
};

bool equal(const TemplateValue& a, const TemplateValue& b);
// -1, 0, 1; nothing if the two have no order.
std::optional<int> order(const TemplateValue& a, const TemplateValue& b);
bool contains(const TemplateValue& container, const TemplateValue& item);

// What a template may make: bytes of text, items of a list (as Python's sandbox has it for range), lists within lists.
inline constexpr size_t template_max_output = size_t{16} << 20;
// Characters of a text that is taken apart into them.
inline constexpr size_t template_max_characters = 1'000'000;
inline constexpr long long template_max_items = 100'000;
inline constexpr int template_max_nesting = 200;
// + - * / // % ** of two values.
TemplateValue calculate(const std::string& op, const TemplateValue& a, const TemplateValue& b);
// - + of one.
TemplateValue negate(const std::string& op, const TemplateValue& v);

struct JsonStyle {
  int indent = -1;
  bool sort_keys = false, ensure_ascii = false;
  std::string item_separator, key_separator = ": ";  // empty item separator: Python's default for the indent
};
std::string to_json(const TemplateValue& value, const JsonStyle& style);

// Code points of a text, each as its bytes.
std::vector<std::string_view> code_points(std::string_view text);

// The same text as HTML shows it: what markup does to a text that is added to it.
std::string escape_html(const std::string& text);
// The other case, code point by code point; the first letter of a text, or of each word, in upper case.
std::string to_upper(const std::string& text);
std::string to_lower(const std::string& text);
std::string capitalize(const std::string& text);

// What a loop sees of a value: items, keys, code points.
Values iterate(const TemplateValue& value);
// value.a.b, value.0: as filters take attributes.
TemplateValue attribute_path(TemplateValue value, const TemplateValue& path);

// The built-in filters, tests and methods. Nothing if there is none of that name; messages are completed by the caller.
std::optional<TemplateValue> apply_filter(const std::string& name, const TemplateValue& value, const TemplateCall& call);
std::optional<bool> apply_test(const std::string& name, const TemplateValue& value, const TemplateCall& call);
bool has_filter(const std::string& name);
std::optional<TemplateValue> call_method(const TemplateValue& object, const std::string& name, const TemplateCall& call);
bool has_method(const TemplateValue& object, const std::string& name);
TemplateValue bound_method(const TemplateValue& object, const std::string& name);
// Python's % of a text and its values.
std::string percent_format(const std::string& format, Values values);
// object.name: a method, an entry of a dict, or undefined.
TemplateValue attribute_of(const TemplateValue& object, const std::string& name);
// object[key]: an item, an entry, a method, or undefined.
TemplateValue item_of(const TemplateValue& object, const TemplateValue& key);

// An argument by position or name.
const TemplateValue* argument(const TemplateCall& call, size_t position, std::string_view name);

}  // namespace moiety
