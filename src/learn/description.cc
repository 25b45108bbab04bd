#include "learn/description.h"

#define TOML_HEADER_ONLY 0
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/nearest.h"

namespace moiety {

struct DescriptionSource {
  std::string file;
  toml::table root;
  std::set<const toml::node*> read;
  std::set<std::pair<const toml::table*, std::string>> asked;  // for "did you mean"
  uint64_t steps = 0;

  // The node of a table's key, which counts as read; null if it is not there.
  static const toml::node* find(const Table& t, std::string_view key);
  static const toml::node& need(const Table& t, std::string_view key);
  static const toml::table& toml(const Table& t) { return *reinterpret_cast<const toml::table*>(t.table_); }
  static DescriptionSource& of(const Table& t) { return *t.source_; }
};

namespace {

constexpr int64_t most_count = 1'000'000'000;

const TomlTable* hidden(const toml::table& table) { return reinterpret_cast<const TomlTable*>(&table); }

std::string place(const std::string& file, const toml::node& node) {
  return fmt::format("{}:{}:{}", file, node.source().begin.line, node.source().begin.column);
}

std::string title(const std::string& name) { return name.empty() ? "" : "[" + name + "] "; }

void check(const toml::table& table, const std::string& name, const DescriptionSource& source) {
  for (const auto& [key, node] : table) {
    const std::string path = name.empty() ? std::string(key.str()) : name + "." + std::string(key.str());
    if (!source.read.contains(&node)) {
      std::vector<std::string> known;
      for (const auto& [of, asked] : source.asked)
        if (of == &table) known.push_back(asked);
      const std::string meant = nearest(key.str(), known);
      throw UsageError("{}: {}nothing uses the key '{}'{}", place(source.file, node), title(name), key.str(), meant.empty() ? "" : "; did you mean '" + meant + "'?");
    }
    if (const toml::table* inner = node.as_table()) check(*inner, path, source);
    if (const toml::array* list = node.as_array())
      for (const toml::node& item : *list)
        if (const toml::table* inner = item.as_table()) check(*inner, path, source);
  }
}

nlohmann::json json_of(const toml::node& node, std::set<const toml::node*>& read) {
  read.insert(&node);
  nlohmann::json out;  // null for what JSON has not: dates
  if (const toml::table* table = node.as_table()) {
    out = nlohmann::json::object();
    for (const auto& [key, value] : *table) out[std::string(key.str())] = json_of(value, read);
  } else if (const toml::array* array = node.as_array()) {
    out = nlohmann::json::array();
    for (const toml::node& item : *array) out.push_back(json_of(item, read));
  } else if (node.is_integer()) {
    out = *node.value<int64_t>();
  } else if (node.is_floating_point()) {
    out = *node.value<double>();
  } else if (node.is_boolean()) {
    out = *node.value<bool>();
  } else if (node.is_string()) {
    out = *node.value<std::string>();
  }
  return out;
}

toml::table table_of(const nlohmann::json& json);
toml::array array_of(const nlohmann::json& json);

// Calls `add` with the value as TOML has it; null is nothing there.
template <class Add>
void with_value(const nlohmann::json& json, const Add& add) {
  if (json.is_object()) return add(table_of(json));
  if (json.is_number_integer()) return add(json.get<int64_t>());
  if (json.is_number()) return add(json.get<double>());
  if (json.is_boolean()) return add(json.get<bool>());
  if (json.is_string()) return add(json.get<std::string>());
  if (json.is_array()) return add(array_of(json));
}

toml::array array_of(const nlohmann::json& json) {
  toml::array out;
  for (const nlohmann::json& item : json) with_value(item, [&](auto value) { out.push_back(std::move(value)); });
  return out;
}

toml::table table_of(const nlohmann::json& json) {
  toml::table out;
  for (const auto& [key, item] : json.items()) with_value(item, [&](auto value) { out.insert(key, std::move(value)); });
  return out;
}

}  // namespace

const toml::node* DescriptionSource::find(const Table& t, std::string_view key) {
  t.source_->asked.emplace(&toml(t), key);
  const toml::node* node = toml(t).get(key);
  if (node) t.source_->read.insert(node);
  return node;
}

const toml::node& DescriptionSource::need(const Table& t, std::string_view key) {
  if (const toml::node* node = find(t, key)) return *node;
  std::vector<std::string> there;
  for (const auto& [name, node] : toml(t)) there.emplace_back(name.str());
  const std::string meant = nearest(key, there);
  throw UsageError("{}: {}the key '{}' is missing{}", place(t.source_->file, toml(t)), title(t.name_), key, meant.empty() ? "" : "; is it '" + meant + "'?");
}

void Table::wrong(std::string_view key, const std::string& reason) const {
  const toml::table& table = DescriptionSource::toml(*this);
  const toml::node* node = table.get(key);
  throw UsageError("{}: {}{}: {}", place(source_->file, node ? *node : table), title(name_), key, reason);
}

bool Table::has(std::string_view key) const {
  const toml::table& table = DescriptionSource::toml(*this);
  source_->asked.emplace(&table, key);
  return table.contains(key);
}

bool Table::has_tables(std::string_view key) const {
  if (!has(key)) return false;
  const toml::node& node = *DescriptionSource::toml(*this).get(key);
  return node.is_table() || node.is_array();
}

double Table::number(std::string_view key) const {
  const toml::node& node = DescriptionSource::need(*this, key);
  if (!node.is_number()) wrong(key, "a number is expected");
  const double value = *node.value<double>();
  if (!std::isfinite(value)) wrong(key, "it must be finite");
  return value;
}
double Table::number(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

uint64_t Table::count(std::string_view key) const {
  const toml::node& node = DescriptionSource::need(*this, key);
  if (!node.is_integer() || *node.value<int64_t>() < 0) wrong(key, "a whole number, not negative, is expected");
  if (*node.value<int64_t>() > most_count && key != "seed") wrong(key, fmt::format("it is larger than {}", most_count));
  return static_cast<uint64_t>(*node.value<int64_t>());
}
uint64_t Table::count(std::string_view key, uint64_t fallback) const { return has(key) ? count(key) : fallback; }

int64_t Table::size(std::string_view key, uint64_t least, uint64_t most) const {
  const uint64_t n = count(key);
  if (n < least || n > most) wrong(key, fmt::format("from {} to {} are possible", least, most));
  return static_cast<int64_t>(n);
}

std::string Table::text(std::string_view key) const {
  const toml::node& node = DescriptionSource::need(*this, key);
  if (!node.is_string()) wrong(key, "a text in quotes is expected");
  return *node.value<std::string>();
}
std::string Table::text(std::string_view key, std::string_view fallback) const { return has(key) ? text(key) : std::string(fallback); }

bool Table::flag(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  const toml::node& node = DescriptionSource::need(*this, key);
  if (!node.is_boolean()) wrong(key, "true or false is expected");
  return *node.value<bool>();
}

std::vector<std::string> Table::texts(std::string_view key) const {
  const toml::node& node = DescriptionSource::need(*this, key);
  if (node.is_string()) return {text(key)};
  const toml::array* list = node.as_array();
  if (!list) wrong(key, "a text, or a list of texts, is expected");
  std::vector<std::string> out;
  for (const toml::node& item : *list) {
    if (!item.is_string()) wrong(key, "a list of texts is expected");
    out.push_back(*item.value<std::string>());
  }
  return out;
}

std::vector<double> Table::numbers(std::string_view key) const {
  const toml::array* list = DescriptionSource::need(*this, key).as_array();
  std::vector<double> out;
  if (list)
    for (const toml::node& item : *list)
      if (item.is_number() && std::isfinite(*item.value<double>())) out.push_back(*item.value<double>());
  if (!list || out.size() != list->size()) wrong(key, "a list of numbers is expected");
  return out;
}

Schedule Table::schedule(std::string_view key) const {
  const toml::node& node = DescriptionSource::need(*this, key);
  if (!node.is_table()) return number(key);
  const Table inner = table(key);
  const std::string kind = inner.text("kind");
  std::vector<std::string> known;
  for (const ScheduleInfo& info : schedules()) {
    if (info.name == kind) return info.build(inner, source_->steps);
    known.emplace_back(info.name);
  }
  inner.wrong("kind", fmt::format("there is no schedule '{}'; there are {}", kind, fmt::join(known, ", ")));
}
Schedule Table::schedule(std::string_view key, double fallback) const { return has(key) ? schedule(key) : Schedule(fallback); }

Table Table::table(std::string_view key) const {
  const toml::node& node = DescriptionSource::need(*this, key);
  const toml::table* inner = node.as_table();
  if (!inner) wrong(key, "a table is expected");
  return {hidden(*inner), name_.empty() ? std::string(key) : name_ + "." + std::string(key), source_};
}

std::vector<Table> Table::tables(std::string_view key) const {
  if (!has(key)) return {};
  const toml::node& node = DescriptionSource::need(*this, key);
  const std::string name = name_.empty() ? std::string(key) : name_ + "." + std::string(key);
  std::vector<Table> out;
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& item : *list) {
      if (!item.is_table()) wrong(key, "a list of tables is expected");
      out.push_back(Table(hidden(*item.as_table()), name, source_));
    }
  } else {
    out.push_back(table(key));
  }
  return out;
}

nlohmann::json Table::json(std::string_view key) const { return json_of(DescriptionSource::need(*this, key), source_->read); }

Description Description::parse(std::string_view text, std::string file) {
  Description out;
  out.source_ = std::make_shared<DescriptionSource>();
  out.source_->file = std::move(file);
  try {
    out.source_->root = toml::parse(text);
  } catch (const toml::parse_error& e) {
    throw UsageError("{}:{}:{}: {}", out.source_->file, e.source().begin.line, e.source().begin.column, e.description());
  }
  return out;
}

Description Description::of(const nlohmann::json& description, std::string origin) {
  Description out;
  out.source_ = std::make_shared<DescriptionSource>();
  out.source_->file = std::move(origin);
  out.source_->root = table_of(description);
  return out;
}

Description Description::read(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) throw Error("{}: can't be read", file.string());
  return parse(text.str(), file.string());
}

Table Description::root() const { return {hidden(source_->root), "", source_.get()}; }
void Description::set_steps(uint64_t steps) { source_->steps = steps; }
std::string description_text(const nlohmann::json& description) {
  std::ostringstream out;
  out << table_of(description) << "\n";
  return out.str();
}

void Description::check_all_read() const { check(source_->root, "", *source_); }

}  // namespace moiety
