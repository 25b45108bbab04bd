#include "kernels/isa.h"

#include <hwy/targets.h>

#include <cstdlib>

#include "base/error.h"

namespace moiety {
namespace {

constexpr uint32_t avx512 = HWY_AVX3 | HWY_AVX3_DL;
constexpr uint32_t beyond_sse2 = avx512 | HWY_AVX2 | HWY_SSE4 | HWY_SSSE3;

}  // namespace

void choose_isa() {
  const char* wanted = std::getenv("MOIETY_ISA");
  const std::string name = wanted ? wanted : "";
  if (name.empty() || name == "avx512") return;
  if (name == "avx2") return hwy::DisableTargets(avx512);
  if (name == "portable") return hwy::DisableTargets(beyond_sse2);
  throw UsageError("MOIETY_ISA={}: portable, avx2 and avx512 are known", name);
}

std::vector<std::string> available_isas() {
  const auto targets = hwy::SupportedTargets();
  std::vector<std::string> out;
  if (targets & avx512) out.push_back("avx512");
  if (targets & HWY_AVX2) out.push_back("avx2");
  out.push_back("portable");
  return out;
}

}  // namespace moiety
