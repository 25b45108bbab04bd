// Runs a test once on every instruction set that the machine has.
#pragma once
#include <hwy/targets.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/isa.h"

namespace moiety {

class OnEveryIsa : public testing::Test {
 protected:
  template <class F>
  void on_every_isa(F body) {
    for (const std::string& name : available_isas()) {
      SCOPED_TRACE("instruction set " + name);
      setenv("MOIETY_ISA", name.c_str(), 1);
      choose_isa();
      body();
      hwy::DisableTargets(0);
    }
    unsetenv("MOIETY_ISA");
  }

  std::vector<float> normal(size_t n) {
    std::vector<float> out(n);
    for (float& v : out) v = std::normal_distribution<float>()(random_);
    return out;
  }

  std::mt19937 random_{7};  // one seed: every instruction set and every run sees the same stream of numbers
};

}  // namespace moiety
