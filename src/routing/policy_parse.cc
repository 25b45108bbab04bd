// The parser of routing texts.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>

#include "routing/policy.h"

namespace moiety {

class RoutingParser {
 public:
  RoutingParser(std::string_view text, Allow allow) : text_(text), allow_(allow) {}

  RoutingPolicy parse() {
    RoutingPolicy out;
    out.source_ = std::string(text_);
    do {
      out.rules_.push_back(rule());
    } while (accept(';') && !at_end());
    if (!at_end()) fail("expected '|', ';' or the end");
    return out;
  }

 private:
  using Rule = RoutingPolicy::Rule;
  using Call = RoutingPolicy::Call;

  [[noreturn]] void fail(const std::string& reason) { throw RoutingTextError(text_, std::min(at_, text_.size()), reason); }
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) at_++;
  }
  bool at_end() {
    skip();
    return at_ == text_.size();
  }
  bool accept(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  std::string word() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' || text_[at_] == '@')) at_++;
    return std::string(text_.substr(begin, at_ - begin));
  }
  uint32_t number() {
    skip();
    uint32_t out;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), out);
    if (error != std::errc()) fail("expected a layer's number");
    at_ = static_cast<size_t>(end - text_.data());
    return out;
  }

  Rule rule() {
    Rule out;
    const size_t begin = at_;
    const std::string first = word();
    if (first == "all" && accept(':')) {
    } else if (first == "layers") {
      do {
        const uint32_t low = number();
        const uint32_t high = accept('-') ? number() : low;
        if (high < low) fail("a range of layers that goes down");
        out.layers.emplace_back(low, high);
      } while (accept(','));
      if (!accept(':')) fail("expected ':' after the layers");
    } else {
      at_ = begin;
    }
    do out.calls.push_back(call());
    while (accept('|'));
    check(out);
    return out;
  }

  Call call() {
    skip();
    Call out;
    out.at = at_;
    out.name = word();
    if (out.name.empty()) fail("expected a stage (`moiety routing list` shows them)");
    if (out.name == "@model") return out;
    const StageInfo* info = find_stage(out.name);
    if (!info) {
      at_ = out.at;
      fail(fmt::format("there is no stage '{}'; did you mean {}?", out.name, nearest_stage(out.name)));
    }
    check_mark(*info, out.at);
    if (accept('(') && !accept(')')) {
      do out.arguments.push_back(argument());
      while (accept(','));
      if (!accept(')')) fail("expected ',' or ')'");
    }
    Arguments(text_, out.name, out.at, out.arguments, info->signature);
    return out;
  }

  void check_mark(const StageInfo& info, size_t at) {
    const Allow needed = info.mark == Mark::row ? Allow::rows : info.mark == Mark::training ? Allow::training : Allow::batch;
    if (allow_ >= needed) return;
    at_ = at;
    if (needed == Allow::training) fail(fmt::format("{} is for training: a model is used without it, so leave it out", info.name));
    fail(fmt::format("{} is marked {}: it needs --allow-batch-dependent", info.name, mark_name(info.mark)));
  }

  Argument argument() {
    skip();
    Argument out;
    out.at = at_;
    auto value = [&] {
      skip();
      const size_t begin = at_;
      while (at_ < text_.size() && !std::strchr(",()|;= \t", text_[at_])) at_++;
      return std::string(text_.substr(begin, at_ - begin));
    };
    out.value = value();
    if (accept('=')) {
      out.name = out.value;
      out.value = value();
    }
    if (out.value.empty()) fail("expected an argument");
    return out;
  }

  void check(const Rule& rule) {
    size_t models = 0;
    bool selects = false;
    const StageInfo* first = find_stage(rule.calls[0].name);
    const size_t end = at_;
    for (const Call& call : rule.calls) {
      const StageInfo* info = find_stage(call.name);  // none: @model
      at_ = call.at;
      if (!info && models++ > 0) fail("@model stands there twice");
      if (!info && first && first->is_source) fail(fmt::format("two sources: @model begins with its own, so {} has no place before it", first->name));
      if (info && info->is_source && &call != rule.calls.data())
        fail(first && first->is_source ? fmt::format("two sources; {} fills the candidates already", first->name)
                                       : fmt::format("{} fills the candidates: it stands first", call.name));
      selects |= !info || info->selects;
    }
    at_ = end;
    if (!selects) {
      at_ = rule.calls.back().at;
      fail("nothing in this pipeline selects experts; expected a stage like top_k or @model");
    }
  }

  std::string_view text_;
  Allow allow_;
  size_t at_ = 0;
};

RoutingPolicy RoutingPolicy::parse(std::string_view text, Allow allow) {
  return RoutingParser(text, allow).parse();
}

}  // namespace moiety
