// Which instruction sets the kernels use.
#pragma once
#include <string>
#include <vector>

namespace moiety {

// Honours MOIETY_ISA = portable | avx2 | avx512: kernels then go no higher. To be called once, before any kernel runs; an unknown
// value is a wrong command.
void choose_isa();

// Those that this machine has and this build contains, best first: "avx512", "avx2", "portable".
std::vector<std::string> available_isas();

}  // namespace moiety
