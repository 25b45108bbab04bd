// Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mf16c -mfma.
#include "kernels/panel_kernel-inl.h"
#include "kernels/panel_vector_avx512-inl.h"

namespace moiety {
namespace {
constexpr PanelKernels made = all_kernels<Avx512<false>>("avx512");
}  // namespace
const PanelKernels panel_kernels_avx512 = made;
}  // namespace moiety
