#include "base/size.h"

#include <cctype>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace moiety {

uint64_t parse_size(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  constexpr std::string_view letters = "KMGT";
  double factor = 1;
  bool good = error == std::errc() && number >= 0 && std::isfinite(number);
  if (!unit.empty()) {
    const size_t power = letters.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
    const std::string_view rest = unit.substr(1);
    good = good && ((power != letters.npos && (rest.empty() || rest == "B" || rest == "iB")) || unit == "B");
    if (power != letters.npos) factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  if (!good || number * factor > 1e18) throw UsageError("'{}' is not a size; write bytes, 512M, 2G or 1.5GiB", text);
  return static_cast<uint64_t>(number * factor);
}

std::string show_size(uint64_t bytes) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, unit++;
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace moiety
