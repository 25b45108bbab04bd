// What the fuzzers share: their bytes as a text or as a file, and errors that are an answer, not a finding.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"

namespace moiety {

inline std::string_view as_text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }
inline std::span<const std::byte> as_file(const uint8_t* data, size_t size) { return {reinterpret_cast<const std::byte*>(data), size}; }

// Whatever else `work` throws ends the fuzzer.
template <class Work>
int refuses_with_error(const Work& work) {
  try {
    work();
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace moiety
