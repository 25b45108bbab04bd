// Compiled with -mavx512f and its kin and -mavx512bf16. A lane multiplies two neighbours along k in bf16 at once, which its instruction adds one
// after the other; numbers too small for a normal float count as zero, in and out.
#include "kernels/gemm_pairs-inl.h"
#include "kernels/gemm_vector_avx512-inl.h"

namespace moiety {
namespace {

constexpr size_t lanes = Avx512::lanes, rows = 12, columns = 32;
static_assert(rows <= lanes && columns % lanes == 0);

struct Avx512Bf16 : Avx512 {
  static Vector fused(Vector x, Vector y, Vector z) { return _mm512_dpbf16_ps(z, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y)); }
};

template <size_t... row>
constexpr GemmKernel pair_kernel(std::index_sequence<row...>) {
  return {2, rows, columns, {tile<Avx512Bf16, row + 1, columns / lanes, false, rows>...}, {tile<Avx512Bf16, row + 1, columns / lanes, true, rows>...},
          pair_tiles<columns>, pair_tiles<rows>, pair_transpose<columns>, pair_rows};
}

}  // namespace
const GemmKernel gemm_kernel_avx512bf16 = pair_kernel(std::make_index_sequence<rows>());
}  // namespace moiety
