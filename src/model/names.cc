#include "model/names.h"

#include <fmt/format.h>

namespace moiety {

std::string canonical_name(std::string_view name, int block) {
  return block < 0 ? std::string(name) : fmt::format("blk.{}.{}", block, name);
}

}  // namespace moiety
