#include "base/huge_pages.h"

#include <gtest/gtest.h>

namespace moiety {
namespace {

TEST(HugePages, GrowingKeepsWhatIsThere) {
  LargeBytes bytes;
  size_t moves = 0;
  for (size_t size = 0; size < (size_t{5} << 20); size = size * 9 / 8 + 1) {  // small ones and those on huge pages
    const size_t before = bytes.size(), room = bytes.capacity();
    grow(bytes, size);
    ASSERT_EQ(bytes.size(), size);
    if (bytes.capacity() != room) {
      moves++;
      EXPECT_LE(bytes.capacity(), size + size / 4);
    }
    for (size_t i = before; i < size; i++) bytes[i] = std::byte(i * 7 % 251);
  }
  EXPECT_GT(moves, 5u);
  for (size_t i = 0; i < bytes.size(); i++) ASSERT_EQ(bytes[i], std::byte(i * 7 % 251)) << i;
}

}  // namespace
}  // namespace moiety
