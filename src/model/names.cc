#include "model/names.h"

#include <fmt/format.h>

namespace moiety {

std::string canonical_name(std::string_view name, int block) {
  return block < 0 ? std::string(name) : fmt::format("blk.{}.{}", block, name);
}

std::string group_suffix(std::string_view bank, size_t group) { return group ? fmt::format("{}.{}", bank, group) : std::string(bank); }

}  // namespace moiety
