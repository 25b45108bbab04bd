// Compiled with -mavx512f and its kin. 24 of 32 registers hold sums.
#include "kernels/gemm_kernel-inl.h"
#include "kernels/gemm_transpose-inl.h"
#include "kernels/gemm_vector_avx512-inl.h"

namespace moiety {
const GemmKernel gemm_kernel_avx512 = float_kernel<Avx512, 2, transpose<32>>(std::make_index_sequence<12>());
const GemmKernel gemm_rounded_kernel_avx512 = rounded_kernel<Avx512, 2, transpose<32>>(std::make_index_sequence<12>());
}  // namespace moiety
