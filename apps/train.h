// The verb `train` as the command line knows it. Who runs it differs: `moiety` hands it to the program beside it that links libtorch.
#pragma once
#include <string>

#include "apps/verbs.h"

namespace moiety {

struct TrainVerb {
  std::string config, out, resume, device = "cpu";
  size_t threads = 0;
  bool json = false;
};

int run_train(const TrainVerb& verb, const Commands& commands);  // apps/learn_by_exec.cc, apps/learn/train_here.cc

}  // namespace moiety
