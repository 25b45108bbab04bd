// Compiled with -mavx2 -mf16c -mfma.
#include "kernels/panel_kernel-inl.h"
#include "kernels/panel_vector_avx2-inl.h"

namespace moiety {
namespace {
constexpr PanelKernels made = all_kernels<Avx2<false>>("avx2");
}  // namespace
const PanelKernels panel_kernels_avx2 = made;
}  // namespace moiety
