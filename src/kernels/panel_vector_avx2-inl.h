// A vector of 8 rows on AVX2, with AVX-VNNI's byte products or without.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace moiety {
namespace {

template <bool vnni>
struct Avx2 {
  static constexpr int lanes = 8, tokens = 4, last_tokens = 5, float_tokens = 2, paired = 0, streamed = 1, streamed_costly = 0;
  static constexpr bool in_order = false;
  static constexpr bool takes_apart = !vnni;
  static constexpr size_t tile = takes_apart ? 32 : 8;
  static constexpr bool exact = vnni;  // unsigned times signed bytes add up in 32 bits
  using B = __m256i;
  using I = __m256i;
  using S = __m256i;
  using F = __m256;

  static B load(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store_bytes(std::byte* p, B x) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), x); }
  static B mask(B x, char bits) { return _mm256_and_si256(x, _mm256_set1_epi8(bits)); }
  // The bits of one mask from x, those of the other from y.
  template <int from_x, int from_y>
  static B joined(B x, B y) { return _mm256_or_si256(mask(x, char(from_x)), mask(y, char(from_y))); }
  template <int n>
  static B down(B x) {
    if constexpr (n == 0) return x;
    else return _mm256_srli_epi16(x, n);
  }
  template <int n>
  static B up(B x) { return _mm256_slli_epi16(x, n); }
  static B flip_top(B x) { return _mm256_xor_si256(x, _mm256_set1_epi8(char(0x80))); }
  static B lookup(const int8_t* table, B codes) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), codes);
  }

  static I whole(int32_t x) { return _mm256_set1_epi32(x); }
  static B four(const int8_t* x) {
    int32_t bits;
    std::memcpy(&bits, x, 4);
    return _mm256_set1_epi32(bits);
  }
  template <bool first, bool last>
  static void add(I& sum, S& chain, B w, const int8_t* x) {
#ifdef __AVXVNNI__
    if constexpr (vnni) {
      sum = _mm256_dpbusd_avx_epi32(sum, w, four(x));
      return;
    }
#endif
    const __m256i pairs = _mm256_maddubs_epi16(w, four(x));
    chain = first ? pairs : _mm256_add_epi16(chain, pairs);
    asm("" : "+x"(chain));  // now: compilers like to make all products first and then have no registers for them
    if constexpr (last) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(chain, _mm256_set1_epi16(1)));
      asm("" : "+x"(sum));
    }
  }
  static void add_signed(I& sum, B w, const int8_t* x) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(four(x), w)), _mm256_set1_epi16(1)));
    asm("" : "+x"(sum));  // as above
  }

  // In a register, not to be loaded anew for each of its products.
  static F kept(F x) {
    asm("" : "+x"(x));
    return x;
  }
  static F zero() { return _mm256_setzero_ps(); }
  static F all(float x) { return _mm256_set1_ps(x); }
  static F plus(F x, F y) { return _mm256_add_ps(x, y); }
  static F times(F x, F y) { return _mm256_mul_ps(x, y); }
  static F fused(F x, F y, F z) { return _mm256_fmadd_ps(x, y, z); }
  static F fused_less(F x, F y, F z) { return _mm256_fnmadd_ps(x, y, z); }
  // scale times a sum that began at q8_start; scaled_start takes that away.
  static F scaled(I sum, float scale, float scaled_start) { return fused(_mm256_castsi256_ps(sum), all(scale), all(scaled_start)); }
  static F floats(I x) { return _mm256_cvtepi32_ps(x); }
  static F floats_at(const std::byte* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static __m128i bytes16(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m128i bytes8(const std::byte* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
  static F halves(const std::byte* p) { return _mm256_cvtph_ps(bytes16(p)); }
  static F bfloats(const std::byte* p) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bytes16(p)), 16)); }
  static F unsigned_bytes(const std::byte* p) { return floats(_mm256_cvtepu8_epi32(bytes8(p))); }
  static F signed_bytes(const std::byte* p) { return floats(_mm256_cvtepi8_epi32(bytes8(p))); }
  static F low_nibbles(const std::byte* p) { return floats(_mm256_and_si256(_mm256_cvtepu8_epi32(bytes8(p)), _mm256_set1_epi32(15))); }
  static F high_nibbles(const std::byte* p) { return floats(_mm256_srli_epi32(_mm256_cvtepu8_epi32(bytes8(p)), 4)); }
  // 2^(e - 128): half of an E8M0 scale; the two lowest exponents are subnormal.
  static F exponents(const std::byte* p) {
    const __m256i e = _mm256_cvtepu8_epi32(bytes8(p)), low = _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, low, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
  }
  // Half of an E4M3 number without a sign: as a half float's bits it would be 2^-8 of that number.
  static F half_e4m3(const std::byte* p) {
    return times(_mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(bytes8(p)), 7)), all(128));
  }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  // Into the cache of that level. (Inlined by force: g++ takes a function that only prefetches for one without effect.)
  template <int level>
  [[gnu::always_inline]] static void ask(const std::byte* p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(p) + i, level == 1 ? _MM_HINT_T0 : _MM_HINT_T1);
  }
};

}  // namespace
}  // namespace moiety
