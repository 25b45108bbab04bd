// The key-value part of a GGUF file: typed values, kept in the order of the file, so that what is read can be written again.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace moiety {

// An array holds one kind of element. `element` is GGUF's number of the element type.
struct MetaArray {
  uint32_t element = 0;
  std::variant<std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>, std::vector<bool>, std::vector<std::string>> values;
};

// In the order of GGUF's type numbers, 0 to 12.
using MetaValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string, MetaArray,
                               uint64_t, int64_t, double>;

class Metadata {
 public:
  // `origin` names the file in messages.
  explicit Metadata(std::string origin = "") : origin_(std::move(origin)) {}

  const MetaValue* find(std::string_view key) const;
  void set(std::string key, MetaValue value);  // replaces, or appends
  void append(std::string key, MetaValue value) { entries_.emplace_back(std::move(key), std::move(value)); }  // a new key
  void erase(std::string_view key);
  const std::vector<std::pair<std::string, MetaValue>>& entries() const { return entries_; }
  const std::string& origin() const { return origin_; }

  // Nothing if the key is absent; an Error that names key and file if it holds something else. Any integer type is an integer;
  // integers are numbers too; a single value counts as a list of one where a list is asked for.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  // Null if the key is absent.
  const std::vector<std::string>* strings(std::string_view key) const;

 private:
  std::string origin_;
  std::vector<std::pair<std::string, MetaValue>> entries_;
};

}  // namespace moiety
