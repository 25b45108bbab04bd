// Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mf16c -mfma.
#include "kernels/panel_kernel-inl.h"
#include "kernels/panel_vector_avx512-inl.h"

namespace moiety {
namespace {
constexpr PanelKernels made = all_kernels<Avx512<true>>("avx512vnni");
}  // namespace
const PanelKernels panel_kernels_avx512vnni = made;
}  // namespace moiety
