// The two ways to fail: the work could not be done, or the command was wrong.
//
// Thrown where the fact is known, with a message for a person that names file, tensor or line, the reason, and what to try.
// Caught once, in apps/. Bugs of our own are assertions, not errors.
#pragma once
#include <fmt/format.h>

#include <stdexcept>

namespace moiety {

// Exit status 1.
class Error : public std::runtime_error {
 public:
  template <class... Args>
  explicit Error(fmt::format_string<Args...> text, Args&&... args)
      : std::runtime_error(fmt::format(text, std::forward<Args>(args)...)) {}
};

// A wrong command, option or routing text. Exit status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace moiety
