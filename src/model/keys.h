// Reading a config.json: a key under any of its names, with an error that says which key of which file is wrong.
//
// A key that the file leaves out has the family's default; one that it sets to null has none.
#pragma once
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace moiety {

class Keys {
 public:
  Keys(const nlohmann::json& object, std::string origin, const nlohmann::json& defaults = nothing())
      : object_(object), defaults_(defaults), origin_(std::move(origin)) {}
  using Names = std::initializer_list<const char*>;

  // The first of the names that is there and not null; the default where none of them is there.
  const nlohmann::json* find(Names names) const {
    if (const nlohmann::json* given = first(object_, names)) return given;
    return given_null(names) ? nullptr : first(defaults_, names);
  }
  std::optional<double> number(Names names) const {
    const nlohmann::json* value = find(names);
    if (!value) return {};
    if (!value->is_number() || !(std::abs(value->get<double>()) <= std::numeric_limits<float>::max()))
      wrong(names, "a number that a float32 can hold");
    return value->get<double>();
  }
  double number(Names names, double otherwise) const { return number(names).value_or(otherwise); }
  // A count: at least 0, below 2^31. A list counts by its entry `at` (some families say it layer by layer).
  std::optional<uint32_t> count(Names names, size_t at = 0) const {
    const nlohmann::json* value = find(names);
    if (value && value->is_array()) {
      if (at >= value->size()) wrong(names, "a list with an entry for each layer");
      value = &(*value)[at];
    }
    if (!value) return {};
    if (!value->is_number_integer() || value->get<int64_t>() < 0 || value->get<int64_t>() >= int64_t{1} << 31)
      wrong(names, "a count (an integer that is not negative)");
    return static_cast<uint32_t>(value->get<int64_t>());
  }
  uint32_t count_or(Names names, uint32_t otherwise, size_t at = 0) const { return count(names, at).value_or(otherwise); }
  uint32_t required(Names names, size_t at = 0) const {
    std::optional<uint32_t> value = count(names, at);
    if (!value) throw Error("{}: key {} is missing", origin_, *names.begin());
    return *value;
  }
  bool flag(Names names, bool otherwise) const {
    const nlohmann::json* value = find(names);
    if (!value) return otherwise;
    if (!value->is_boolean()) wrong(names, "true or false");
    return value->get<bool>();
  }
  std::string text(Names names, std::string otherwise = "") const {
    const nlohmann::json* value = find(names);
    if (!value) return otherwise;
    if (!value->is_string()) wrong(names, "a text");
    return value->get<std::string>();
  }
  std::vector<double> numbers(Names names) const {
    std::vector<double> out;
    const nlohmann::json* value = find(names);
    if (!value) return out;
    if (!value->is_array()) wrong(names, "a list of numbers");
    for (const nlohmann::json& entry : *value) {
      if (!entry.is_number() || !(std::abs(entry.get<double>()) <= std::numeric_limits<float>::max())) wrong(names, "a list of numbers that a float32 can hold");
      out.push_back(entry.get<double>());
    }
    return out;
  }
  std::vector<std::string> texts(Names names) const {
    std::vector<std::string> out;
    const nlohmann::json* value = find(names);
    if (!value) return out;
    if (!value->is_array()) wrong(names, "a list of texts");
    for (const nlohmann::json& entry : *value) {
      if (!entry.is_string()) wrong(names, "a list of texts");
      out.push_back(entry.get<std::string>());
    }
    return out;
  }
  // An object below this one; empty if it is not there.
  Keys inside(const char* name) const {
    const nlohmann::json* value = first(object_, {name});
    if (value && !value->is_object()) wrong({name}, "an object");
    const nlohmann::json* defaults = first(defaults_, {name});
    return Keys(value ? *value : nothing(), origin_ + ": " + name, defaults && defaults->is_object() ? *defaults : nothing());
  }
  const std::string& origin() const { return origin_; }

 private:
  static const nlohmann::json& nothing() {
    static const nlohmann::json empty = nlohmann::json::object();
    return empty;
  }
  static const nlohmann::json* first(const nlohmann::json& object, Names names) {
    for (const char* name : names)
      if (auto it = object.find(name); it != object.end() && !it->is_null()) return &*it;
    return nullptr;
  }
  bool given_null(Names names) const {
    for (const char* name : names)
      if (object_.contains(name)) return true;
    return false;
  }

  [[noreturn]] void wrong(Names names, const char* expected) const {
    for (const char* name : names)
      if (object_.contains(name) && !object_[name].is_null())
        throw Error("{}: key {}: expected {}, got {}", origin_, name, expected, object_[name].dump().substr(0, 60));
    throw Error("{}: key {}: expected {}", origin_, *names.begin(), expected);
  }

  const nlohmann::json& object_;
  const nlohmann::json& defaults_;
  std::string origin_;
};

}  // namespace moiety
