// A run as it stands in TOML. Whoever builds a part reads the part's table; what nobody read is a mistake, and named with its place.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "learn/schedule.h"

namespace moiety {

struct DescriptionSource;  // the text, and what of it has been read
struct TomlTable;          // toml++'s, which would cost every file that includes this some seconds

class Table {
 public:
  // Of a key; without a fallback the key must be there. Numbers may be integers or floats; counts are integers in [0, 10^9] (a seed: any).
  double number(std::string_view key) const;
  double number(std::string_view key, double fallback) const;
  uint64_t count(std::string_view key) const;
  uint64_t count(std::string_view key, uint64_t fallback) const;
  int64_t size(std::string_view key, uint64_t least = 1, uint64_t most = 1 << 16) const;  // a count that must lie between these
  std::string text(std::string_view key) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  bool flag(std::string_view key, bool fallback) const;
  std::vector<std::string> texts(std::string_view key) const;  // a list, or one
  std::vector<double> numbers(std::string_view key) const;     // a list
  Schedule schedule(std::string_view key) const;  // a number, or a table with `kind`
  Schedule schedule(std::string_view key, double fallback) const;
  // A table.
  Table table(std::string_view key) const;
  std::vector<Table> tables(std::string_view key) const;  // [[key]], or an array of tables; empty if it is not there
  bool has(std::string_view key) const;
  bool has_tables(std::string_view key) const;  // whether `tables` would read it
  // A table as it stands, all of it read: for descriptions that are put together from it.
  nlohmann::json json(std::string_view key) const;

  const std::string& name() const { return name_; }
  // Throws UsageError with file, line and column of the key, or of the table.
  [[noreturn]] void wrong(std::string_view key, const std::string& reason) const;

 private:
  friend class Description;
  friend struct DescriptionSource;
  Table(const TomlTable* table, std::string name, DescriptionSource* source) : table_(table), name_(std::move(name)), source_(source) {}

  const TomlTable* table_;
  std::string name_;
  DescriptionSource* source_;
};

// A whole description. Throws UsageError where it is no TOML.
class Description {
 public:
  static Description read(const std::filesystem::path& file);
  static Description parse(std::string_view text, std::string file);
  // One that was put together. `origin` names it in messages.
  static Description of(const nlohmann::json& description, std::string origin);
  Table root() const;
  void set_steps(uint64_t steps);  // of the run, which schedules refer to
  // Throws UsageError for the first key that nobody read, with the nearest that was asked for.
  void check_all_read() const;

 private:
  std::shared_ptr<DescriptionSource> source_;
};

// A description that was put together, as TOML.
std::string description_text(const nlohmann::json& description);

}  // namespace moiety
