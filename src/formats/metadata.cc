#include "formats/metadata.h"

#include "base/error.h"

namespace moiety {
namespace {

[[noreturn]] void wrong(const std::string& origin, std::string_view key, const char* expected) {
  throw Error("{}: key {} is not {}", origin, key, expected);
}

// The integer in a value of any integer type.
std::optional<int64_t> as_integer(const MetaValue& value) {
  return std::visit(
      [](const auto& v) -> std::optional<int64_t> {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_integral_v<V> && !std::is_same_v<V, bool>) return static_cast<int64_t>(v);
        return {};
      },
      value);
}

std::optional<double> as_number(const MetaValue& value) {
  if (auto integer = as_integer(value)) return static_cast<double>(*integer);
  if (auto* f = std::get_if<float>(&value)) return *f;
  if (auto* d = std::get_if<double>(&value)) return *d;
  return {};
}

template <class Out>
std::optional<std::vector<Out>> as_list(const MetaValue& value, std::optional<Out> (*single)(const MetaValue&), bool reals) {
  if (auto one = single(value)) return std::vector<Out>{*one};
  const auto* array = std::get_if<MetaArray>(&value);
  if (!array) return {};
  return std::visit(
      [&](const auto& v) -> std::optional<std::vector<Out>> {
        using V = typename std::decay_t<decltype(v)>::value_type;
        if constexpr (std::is_same_v<V, std::string>) {
          return {};
        } else {
          if (std::is_same_v<V, double> && !reals) return {};
          return std::vector<Out>(v.begin(), v.end());
        }
      },
      array->values);
}

}  // namespace

const MetaValue* Metadata::find(std::string_view key) const {
  for (const auto& [name, value] : entries_)
    if (name == key) return &value;
  return nullptr;
}

void Metadata::set(std::string key, MetaValue value) {
  for (auto& [name, old] : entries_)
    if (name == key) {
      old = std::move(value);
      return;
    }
  entries_.emplace_back(std::move(key), std::move(value));
}

void Metadata::erase(std::string_view key) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
}

std::optional<int64_t> Metadata::integer(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return {};
  if (auto integer = as_integer(*value)) return integer;
  wrong(origin_, key, "an integer");
}

std::optional<double> Metadata::number(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return {};
  if (auto number = as_number(*value)) return number;
  wrong(origin_, key, "a number");
}

std::optional<bool> Metadata::boolean(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return {};
  if (const bool* flag = std::get_if<bool>(value)) return *flag;
  wrong(origin_, key, "true or false");
}

std::optional<std::string> Metadata::string(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return {};
  if (const std::string* text = std::get_if<std::string>(value)) return *text;
  wrong(origin_, key, "a text");
}

std::optional<std::vector<int64_t>> Metadata::integers(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return {};
  if (auto list = as_list<int64_t>(*value, as_integer, false)) return list;
  wrong(origin_, key, "a list of integers");
}

std::optional<std::vector<double>> Metadata::numbers(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return {};
  if (auto list = as_list<double>(*value, as_number, true)) return list;
  wrong(origin_, key, "a list of numbers");
}

const std::vector<std::string>* Metadata::strings(std::string_view key) const {
  const MetaValue* value = find(key);
  if (!value) return nullptr;
  const auto* array = std::get_if<MetaArray>(value);
  const auto* texts = array ? std::get_if<std::vector<std::string>>(&array->values) : nullptr;
  if (!texts) wrong(origin_, key, "a list of texts");
  return texts;
}

}  // namespace moiety
