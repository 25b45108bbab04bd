// Memory for large data that is read from end to end.
#pragma once
#include <cstddef>
#include <memory>

namespace moiety {

// At least `bytes`, zeros, aligned to a page; on huge pages where the system gives them, so that few translations of addresses are needed.
std::shared_ptr<std::byte> huge_pages(size_t bytes);

}  // namespace moiety
