#include "kernels/isa.h"

#include <cpuid.h>
#include <hwy/targets.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.h"

namespace moiety {
namespace {

constexpr uint32_t avx512_targets = HWY_AVX3 | HWY_AVX3_DL;
constexpr uint32_t beyond_sse2 = avx512_targets | HWY_AVX2 | HWY_SSE4 | HWY_SSSE3;
constexpr Isa all[] = {Isa::amx, Isa::avx512bf16, Isa::avx512vnni, Isa::avx512, Isa::avxvnni, Isa::avx2, Isa::portable};

// Features that not every compiler's __builtin_cpu_supports knows by name.
bool has_f16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}
bool has_avx_vnni() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
bool has_avx512_bf16() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}
// Matrix tiles, and their products of bfloat16.
bool has_amx() {
  unsigned a, b, c, d;
  constexpr unsigned wanted = 1u << 22 | 1u << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & wanted) == wanted;
}
// Linux keeps room for a thread's tiles only in processes that ask for it.
bool may_use_tiles() {
  constexpr long ask_for_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, ask_for_permission, tile_data) == 0;
}

bool runs(Isa isa) {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  switch (isa) {
    case Isa::amx: return runs(Isa::avx512bf16) && has_amx() && may_use_tiles();
    case Isa::avx512bf16: return runs(Isa::avx512vnni) && has_avx512_bf16();
    case Isa::avx512vnni: return avx512 && __builtin_cpu_supports("avx512vnni");
    case Isa::avx512: return avx512;
    case Isa::avxvnni: return avx2 && has_avx_vnni();
    case Isa::avx2: return avx2;
    case Isa::portable: return true;
  }
  return false;
}

std::optional<Isa> chosen;  // set once by choose_isa, before threads start

// Highway leaves its choice to the first call that needs one, and meanwhile shows other threads the best target, disabled or not.
void use_targets_except(int64_t disabled) {
  hwy::DisableTargets(disabled);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace

std::vector<Isa> runnable_isas() {
  std::vector<Isa> out;
  for (Isa isa : all)
    if (runs(isa)) out.push_back(isa);
  return out;
}

std::string_view isa_name(Isa isa) {
  constexpr std::string_view names[] = {"portable", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx"};
  return names[static_cast<size_t>(isa)];
}

Isa current_isa() {
  static const Isa best = runnable_isas().front();
  return chosen.value_or(best);
}

void choose_isa() {
  chosen.reset();
  use_targets_except(0);
  const char* wanted = std::getenv("MOIETY_ISA");
  if (!wanted || !*wanted) return;
  const auto isa = std::ranges::find(all, std::string_view(wanted), isa_name);
  if (isa == std::end(all)) throw UsageError("MOIETY_ISA={}: portable, avx2, avxvnni, avx512, avx512vnni, avx512bf16 and amx are known", wanted);
  if (!runs(*isa)) throw UsageError("MOIETY_ISA={}: this machine does not have it", wanted);
  chosen = *isa;
  if (*isa == Isa::avx2 || *isa == Isa::avxvnni) use_targets_except(avx512_targets);
  if (*isa == Isa::portable) use_targets_except(beyond_sse2);
}

std::vector<std::string> available_isas() {
  std::vector<std::string> out;
  for (Isa isa : runnable_isas()) out.emplace_back(isa_name(isa));
  return out;
}

}  // namespace moiety
