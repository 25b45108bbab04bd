// A vector of 16 rows on AVX-512, with VNNI's byte products or without.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace moiety {
namespace {

template <bool vnni>
struct Avx512 {
  static constexpr int lanes = 16, tokens = vnni ? 12 : 8, last_tokens = tokens, float_tokens = 4, paired = vnni ? 6 : 0, streamed = vnni ? 6 : 1, streamed_costly = streamed;
  static constexpr bool in_order = true;
  static constexpr bool takes_apart = false;
  static constexpr size_t tile = tokens;
  static constexpr bool exact = vnni;  // unsigned times signed bytes add up in 32 bits
  using B = __m512i;
  using I = __m512i;
  using S = __m512i;
  using F = __m512;

  static B load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static void keep_place(B& x) { asm volatile("" : "+v"(x)); }  // among others of the kind: compilers load where a register is free
  static B mask(B x, char bits) { return _mm512_and_si512(x, _mm512_set1_epi8(bits)); }
  // The bits of one mask from x, those of the other from y.
  template <int from_x, int from_y>
  static B joined(B x, B y) { return mask(_mm512_ternarylogic_epi32(x, y, _mm512_set1_epi8(char(from_x)), 0xe4), char(from_x | from_y)); }
  template <int n>
  static B down(B x) {
    if constexpr (n == 0) return x;
    else return _mm512_srli_epi16(x, n);
  }
  template <int n>
  static B up(B x) { return _mm512_slli_epi16(x, n); }
  static B flip_top(B x) { return _mm512_xor_si512(x, _mm512_set1_epi8(char(0x80))); }
  static B lookup(const int8_t* table, B codes) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), codes);
  }

  static I whole(int32_t x) { return _mm512_set1_epi32(x); }
  static B four(const int8_t* x) {
    int32_t bits;
    std::memcpy(&bits, x, 4);
    return _mm512_set1_epi32(bits);
  }
  template <bool first, bool last>
  static void add(I& sum, S& chain, B w, const int8_t* x) {
    if constexpr (vnni) {
      sum = _mm512_dpbusd_epi32(sum, w, four(x));
    } else {
      const __m512i pairs = _mm512_maddubs_epi16(w, four(x));
      chain = first ? pairs : _mm512_add_epi16(chain, pairs);
      asm("" : "+v"(chain));  // now: compilers like to make all products first and then have no registers for them
      if constexpr (last) sum = _mm512_add_epi32(sum, _mm512_madd_epi16(chain, _mm512_set1_epi16(1)));
    }
  }
  static void add_signed(I& sum, B w, const int8_t* x) {
    const B y = four(x), signed_y = _mm512_mask_sub_epi8(y, _mm512_movepi8_mask(w), _mm512_setzero_si512(), y);
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_abs_epi8(w), signed_y), _mm512_set1_epi16(1)));
  }

  static F zero() { return _mm512_setzero_ps(); }
  static F all(float x) { return _mm512_set1_ps(x); }
  static F plus(F x, F y) { return _mm512_add_ps(x, y); }
  static F times(F x, F y) { return _mm512_mul_ps(x, y); }
  static F fused(F x, F y, F z) { return _mm512_fmadd_ps(x, y, z); }
  static F fused_less(F x, F y, F z) { return _mm512_fnmadd_ps(x, y, z); }
  // scale times a sum that began at q8_start; scaled_start takes that away.
  static F scaled(I sum, float scale, float scaled_start) { return fused(_mm512_castsi512_ps(sum), all(scale), all(scaled_start)); }
  static F floats(I x) { return _mm512_cvtepi32_ps(x); }
  static F floats_at(const std::byte* p) { return _mm512_loadu_ps(p); }
  static F halves(const std::byte* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static F bfloats(const std::byte* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
  }
  static __m128i bytes16(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static F unsigned_bytes(const std::byte* p) { return floats(_mm512_cvtepu8_epi32(bytes16(p))); }
  static F signed_bytes(const std::byte* p) { return floats(_mm512_cvtepi8_epi32(bytes16(p))); }
  static F low_nibbles(const std::byte* p) { return floats(_mm512_and_si512(_mm512_cvtepu8_epi32(bytes16(p)), _mm512_set1_epi32(15))); }
  static F high_nibbles(const std::byte* p) { return floats(_mm512_srli_epi32(_mm512_cvtepu8_epi32(bytes16(p)), 4)); }
  // 2^(e - 128): half of an E8M0 scale; the two lowest exponents are subnormal.
  static F exponents(const std::byte* p) {
    const __m512i e = _mm512_cvtepu8_epi32(bytes16(p)), low = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2)), low));
  }
  // Half of an E4M3 number without a sign: as a half float's bits it would be 2^-8 of that number.
  static F half_e4m3(const std::byte* p) {
    return times(_mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes16(p)), 7)), all(128));
  }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  // Into the cache of that level. (Inlined by force: g++ takes a function that only prefetches for one without effect.)
  template <int level>
  [[gnu::always_inline]] static void ask(const std::byte* p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(p) + i, level == 1 ? _MM_HINT_T0 : _MM_HINT_T1);
  }
};

}  // namespace
}  // namespace moiety
