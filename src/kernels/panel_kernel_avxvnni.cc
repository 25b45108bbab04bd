// Compiled with -mavx2 -mavxvnni -mf16c -mfma.
#include "kernels/panel_kernel-inl.h"
#include "kernels/panel_vector_avx2-inl.h"

namespace moiety {
namespace {
constexpr PanelKernels made = all_kernels<Avx2<true>>("avxvnni");
}  // namespace
const PanelKernels panel_kernels_avxvnni = made;
}  // namespace moiety
