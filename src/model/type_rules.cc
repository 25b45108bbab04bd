#include "model/type_rules.h"

#include <fnmatch.h>

#include <charconv>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "formats/codec.h"

namespace moiety {

TypeRules TypeRules::read(const std::filesystem::path& path) { return parse(read_text_file(path), path.string()); }

TypeRules TypeRules::parse(const std::string& text, const std::string& origin) {
  TypeRules out;
  out.origin_ = origin;
  std::istringstream lines(text);
  std::string line;
  for (size_t number = 1; std::getline(lines, line); number++) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string pattern, type, more;
    if (!(words >> pattern)) continue;
    if (!(words >> type) || words >> more) throw Error("{}:{}: a rule is a pattern and a type, like 'blk.*.ffn_down_exps.weight q6_k'", origin, number);
    out.rules_.push_back(out.read_rule(pattern, type, number));
  }
  if (out.rules_.empty()) throw Error("{}: holds no rule; one is a pattern and a type, like 'blk.*.ffn_down_exps.weight q6_k'", origin);
  return out;
}

// "3" or "0-5"
std::optional<TypeRules::Range> TypeRules::read_range(std::string_view text) {
  Range range{};
  const char* end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, range.first);
  if (error != std::errc()) return {};
  range.last = range.first;
  if (at == end) return range;
  if (*at != '-') return {};
  const auto [last, second_error] = std::from_chars(at + 1, end, range.last);
  if (second_error != std::errc() || last != end || range.last < range.first) return {};
  return range;
}

TypeRules::Rule TypeRules::read_rule(const std::string& pattern, const std::string& type, size_t line) const {
  Rule rule{line, pattern, TensorType::f32, {}, {}, {}};
  const auto known = type_by_name(type);
  if (!known || !can_encode(*known)) throw Error("{}:{}: '{}' is no type that can be written; f16, q8_0, q4_k … are", origin_, line, type);
  rule.type = *known;
  if (pattern.size() > 2 && pattern.front() == '/' && pattern.back() == '/') {
    if (pattern.size() > 500) throw Error("{}:{}: a regular expression of {} letters; 500 are the most", origin_, line, pattern.size());
    try {
      rule.regex = std::regex(pattern.substr(1, pattern.size() - 2));
    } catch (const std::regex_error& e) {
      throw Error("{}:{}: {} is not a regular expression: {}", origin_, line, pattern, e.what());
    }
  } else if (pattern.find_first_not_of("0123456789-:*") == pattern.npos && pattern != "*") {
    const size_t colon = pattern.find(':');
    const std::string layers = pattern.substr(0, colon);
    rule.by_place = true;
    if (layers != "*") rule.layers = read_range(layers);
    bool good = layers == "*" || rule.layers;
    if (colon != pattern.npos) {
      const std::string experts = pattern.substr(colon + 1);
      rule.experts = experts == "*" ? Range{0, UINT32_MAX} : read_range(experts).value_or(Range{1, 0});
      good = good && rule.experts->first <= rule.experts->last;
    }
    if (!good) throw Error("{}:{}: '{}' is no layer or layer:expert; write 3, 0-5, 3:17, 3:0-7 or *:17", origin_, line, pattern);
  }
  return rule;
}

bool TypeRules::Rule::matches(const RuledMatrix& m) const {
  if (by_place) {
    if (!m.layer || (layers && !layers->holds(*m.layer))) return false;
    return !experts || (m.expert && experts->holds(*m.expert));
  }
  if (regex) return std::regex_search(m.name.begin(), m.name.end(), *regex);
  return ::fnmatch(pattern.c_str(), std::string(m.name).c_str(), 0) == 0;
}

std::optional<TypeRules::Answer> TypeRules::find(const RuledMatrix& matrix) {
  for (Rule& rule : rules_)
    if (rule.matches(matrix)) {
      rule.used = true;
      return Answer{rule.type, rule.line};
    }
  return {};
}

void TypeRules::check_all_used() const {
  for (const Rule& rule : rules_)
    if (!rule.used)
      throw Error("{}:{}: '{}' is the first match of no matrix; `moiety inspect MODEL --tensors` prints the names, and routers, norms and biases stay exact",
                  origin_, rule.line, rule.pattern);
}

}  // namespace moiety
