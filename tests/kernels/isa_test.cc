#include "kernels/isa.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>

namespace moiety {
namespace {

// Two threads whose first calls meet must not run two instruction sets.
TEST(Isa, HighwaysTargetIsSettledBeforeThreadsStart) {
  for (const std::string& isa : available_isas()) {
    ::setenv("MOIETY_ISA", isa.c_str(), 1);
    choose_isa();
    EXPECT_TRUE(hwy::GetChosenTarget().IsInitialized()) << isa;
  }
  ::unsetenv("MOIETY_ISA");
  choose_isa();
}

}  // namespace
}  // namespace moiety
