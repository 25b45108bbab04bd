#include "routing/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "base/file.h"

namespace moiety {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    std::string_view piece = text.substr(0, end);
    while (!piece.empty() && piece.front() == ' ') piece.remove_prefix(1);
    while (!piece.empty() && piece.back() == ' ') piece.remove_suffix(1);
    out.emplace_back(piece);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool parse_number(std::string_view text, double& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(out);
}

bool parse_count(std::string_view text, uint32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool parse_range(std::string_view text, ExpertRange& out) {
  if (const size_t colon = text.find(':'); colon != text.npos) {
    uint32_t layer;
    if (!parse_count(text.substr(0, colon), layer)) return false;
    out.layer = layer;
    text.remove_prefix(colon + 1);
  }
  const size_t dash = text.find('-');
  if (!parse_count(text.substr(0, dash), out.first)) return false;
  out.last = out.first;
  return dash == text.npos || (parse_count(text.substr(dash + 1), out.last) && out.last >= out.first);
}

Arguments::Arguments(std::string_view text, std::string_view stage, size_t at, std::vector<Argument> given, std::string_view signature)
    : text_(text) {
  bool takes_list = false;
  for (const std::string& part : split(signature, ',')) {
    Parameter p;
    const size_t colon = part.find(':'), equals = part.find('=');
    p.name = part.substr(0, colon);
    p.kind = part.substr(colon + 1, equals == part.npos ? part.npos : equals - colon - 1);
    p.optional = equals != part.npos;
    if (p.optional) p.value = part.substr(equals + 1);
    takes_list |= p.kind == "list";
    p.at = at;
    parameters_.push_back(std::move(p));
  }
  const std::string usage = fmt::format("{}({})", stage, signature);
  size_t next = 0;
  for (Argument& argument : given) {
    if (takes_list && (argument.name.empty() || argument.name == parameters_[0].name)) {
      add_to_list(argument);
      continue;
    }
    auto target = parameters_.end();
    if (argument.name.empty()) {
      if (next < parameters_.size()) target = parameters_.begin() + static_cast<ptrdiff_t>(next++);
    } else {
      target = std::ranges::find(parameters_, argument.name, &Parameter::name);
    }
    if (target == parameters_.end())
      throw RoutingTextError(text, argument.at, fmt::format("an argument too many; expected {}", usage));
    if (target->given) throw RoutingTextError(text, argument.at, fmt::format("{} is given twice; expected {}", target->name, usage));
    target->value = argument.value;
    target->at = argument.at;
    target->given = true;
    check(*target);
  }
  for (const Parameter& p : parameters_)
    if (!p.given && !p.optional && (p.kind != "list" || list_.empty()))
      throw RoutingTextError(text, at, fmt::format("{} is missing; expected {}", p.name, usage));
}

// An expert or a range of them, or a file of such: one or several a line, # begins a remark.
void Arguments::add_to_list(const Argument& argument) {
  ExpertRange range;
  if (parse_range(argument.value, range)) return list_.push_back(range);
  constexpr uintmax_t most_bytes = 1 << 24;
  std::error_code error;  // a name too long, say: no file either
  if (!std::filesystem::is_regular_file(argument.value, error) || std::filesystem::file_size(argument.value, error) > most_bytes)
    throw RoutingTextError(text_, argument.at, fmt::format("'{}' is no expert and no file of experts; expected 17, 0-7, 3:17 or 3:0-7", argument.value));
  std::istringstream lines(read_text_file(argument.value));
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    number++;
    line.resize(std::min(line.find('#'), line.size()));
    std::ranges::replace(line, ',', ' ');
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (!parse_range(word, range))
        throw RoutingTextError(text_, argument.at, fmt::format("{}, line {}: '{}' is no expert; expected 17, 0-7, 3:17 or 3:0-7", argument.value, number, word));
      list_.push_back(range);
    }
  }
  if (list_.empty()) throw RoutingTextError(text_, argument.at, fmt::format("{}: names no expert", argument.value));
}

void Arguments::check(const Parameter& p) const {
  double number;
  uint32_t count;
  if (p.kind == "count" && !(parse_count(p.value, count) && count > 0) && p.value != "all")
    throw RoutingTextError(text_, p.at, fmt::format("{} must be a count of at least 1, not '{}'", p.name, p.value));
  if (p.kind == "number" && !parse_number(p.value, number))
    throw RoutingTextError(text_, p.at, fmt::format("{} must be a number, not '{}'", p.name, p.value));
  if (p.kind == "fraction" && !(parse_number(p.value, number) && number >= 0 && number <= 1))
    throw RoutingTextError(text_, p.at, fmt::format("{} must be a number from 0 to 1, not '{}'", p.name, p.value));
  if (p.kind.find('|') != std::string::npos && !std::ranges::count(split(p.kind, '|'), p.value))
    throw RoutingTextError(text_, p.at, fmt::format("{} must be one of {}, not '{}'", p.name, p.kind, p.value));
}

const Arguments::Parameter& Arguments::parameter(std::string_view name) const {
  return *std::ranges::find(parameters_, name, &Parameter::name);
}

uint32_t Arguments::count(std::string_view name) const {
  uint32_t out = UINT32_MAX;
  parse_count(parameter(name).value, out);
  return out;
}

double Arguments::number(std::string_view name) const {
  double out = 0;
  parse_number(parameter(name).value, out);
  return out;
}

const std::string& Arguments::word(std::string_view name) const { return parameter(name).value; }

std::vector<ExpertRange> Arguments::experts(std::string_view) const { return list_; }

}  // namespace moiety
