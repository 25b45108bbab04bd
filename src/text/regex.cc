#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include "base/error.h"

namespace moiety {
namespace {

struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(32, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 8 << 20, nullptr);
  MatchState() {
    pcre2_set_match_limit(context, 20'000'000);
    pcre2_set_heap_limit(context, 512 * 1024);  // KiB
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

}  // namespace

Regex::Regex(const std::string& pattern) : pattern_(pattern) {
  int error;
  PCRE2_SIZE at;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
  if (!code) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof(message));
    throw Error("regular expression '{}': {} at {}", pattern, reinterpret_cast<const char*>(message), at);
  }
  compiled_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;  // without it, matching is slower and the same
  code_ = std::shared_ptr<void>(code, [](void* c) { pcre2_code_free(static_cast<pcre2_code*>(c)); });
}

bool Regex::find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  static thread_local MatchState state;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int status = compiled_ ? pcre2_jit_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, state.data, state.context) : PCRE2_ERROR_JIT_STACKLIMIT;
  // The interpreter keeps its places on the heap: it gets through words that machine code has no stack for.
  if (status == PCRE2_ERROR_JIT_STACKLIMIT)
    status = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data, state.context);
  if (status == PCRE2_ERROR_NOMATCH) return false;
  if (status == PCRE2_ERROR_MATCHLIMIT || status == PCRE2_ERROR_HEAPLIMIT)
    throw Error("regular expression '{}' takes too many steps on this text: the tokenizer cannot be used for it", pattern_);
  if (status < 0) throw Error("regular expression '{}' fails on this text (PCRE2 error {})", pattern_, status);
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state.data);
  begin = ends[0], end = ends[1];
  return true;
}

}  // namespace moiety
