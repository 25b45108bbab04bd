// The plain form of the panel products: the same sums in loops over 16 rows. Reference of the others in tests, and what runs where
// none of them can.
#include <cstring>

#include "formats/half.h"
#include "kernels/panel_kernel-inl.h"

namespace moiety {
namespace {

struct Portable {
  static constexpr int lanes = 16, tokens = 1, last_tokens = 1, float_tokens = 1, paired = 0, streamed = 0, streamed_costly = 0;
  static constexpr bool in_order = false;
  static constexpr bool takes_apart = false;
  static constexpr size_t tile = 8;
  static constexpr bool exact = true;
  struct B {
    uint8_t at[64];
  };
  struct I {
    int32_t at[16];
  };
  struct S {};
  struct F {
    float at[16];
  };

  template <class Function>
  static B bytes(Function f) {
    B out;
    for (int i = 0; i < 64; i++) out.at[i] = static_cast<uint8_t>(f(i));
    return out;
  }
  template <class Function>
  static F rows(Function f) {
    F out;
    for (int i = 0; i < 16; i++) out.at[i] = f(i);
    return out;
  }
  static uint8_t byte(const std::byte* p, int i) { return static_cast<uint8_t>(p[i]); }
  static uint16_t word(const std::byte* p, int i) { return static_cast<uint16_t>(byte(p, 2 * i) | byte(p, 2 * i + 1) << 8); }

  static B load(const std::byte* p) { return bytes([&](int i) { return byte(p, i); }); }
  static B mask(B x, int bits) { return bytes([&](int i) { return x.at[i] & bits; }); }
  template <int from_x, int from_y>
  static B joined(B x, B y) { return bytes([&](int i) { return (x.at[i] & from_x) | (y.at[i] & from_y); }); }
  template <int n>
  static B down(B x) { return bytes([&](int i) { return x.at[i] >> n; }); }
  template <int n>
  static B up(B x) { return bytes([&](int i) { return x.at[i] << n; }); }
  static B flip_top(B x) { return bytes([&](int i) { return x.at[i] ^ 0x80; }); }
  static B lookup(const int8_t* table, B codes) { return bytes([&](int i) { return table[codes.at[i]]; }); }

  static I whole(int32_t x) {
    I out;
    for (int32_t& v : out.at) v = x;
    return out;
  }
  template <bool, bool>
  static void add(I& sum, S&, const B& w, const int8_t* x) {
    for (int r = 0; r < 16; r++)
      for (int k = 0; k < 4; k++) sum.at[r] += w.at[4 * r + k] * x[k];
  }

  static F zero() { return {}; }
  static F all(float x) { return rows([&](int) { return x; }); }
  static F plus(F x, F y) { return rows([&](int i) { return x.at[i] + y.at[i]; }); }
  static F times(F x, F y) { return rows([&](int i) { return x.at[i] * y.at[i]; }); }
  static F fused(F x, F y, F z) { return rows([&](int i) { return x.at[i] * y.at[i] + z.at[i]; }); }
  static F fused_less(F x, F y, F z) { return rows([&](int i) { return z.at[i] - x.at[i] * y.at[i]; }); }
  static F scaled(const I& sum, float scale, float) { return rows([&](int i) { return static_cast<float>(sum.at[i] - q8_start) * scale; }); }
  static F floats(const I& x) { return rows([&](int i) { return static_cast<float>(x.at[i]); }); }
  static F floats_at(const std::byte* p) {
    F out;
    std::memcpy(out.at, p, sizeof(out.at));
    return out;
  }
  static F halves(const std::byte* p) { return rows([&](int i) { return from_f16(word(p, i)); }); }
  static F bfloats(const std::byte* p) { return rows([&](int i) { return from_bf16(word(p, i)); }); }
  static F unsigned_bytes(const std::byte* p) { return rows([&](int i) { return static_cast<float>(byte(p, i)); }); }
  static F signed_bytes(const std::byte* p) { return rows([&](int i) { return static_cast<float>(static_cast<int8_t>(byte(p, i))); }); }
  static F low_nibbles(const std::byte* p) { return rows([&](int i) { return static_cast<float>(byte(p, i) & 15); }); }
  static F high_nibbles(const std::byte* p) { return rows([&](int i) { return static_cast<float>(byte(p, i) >> 4); }); }
  // 2^(e - 128): half of an E8M0 scale; the two lowest exponents are subnormal.
  static F exponents(const std::byte* p) {
    return rows([&](int i) {
      const uint32_t e = byte(p, i);
      return std::bit_cast<float>(e < 2 ? 0x200000u << e : (e - 1) << 23);
    });
  }
  // Half of an E4M3 number without a sign: as a half float's bits it would be 2^-8 of that number.
  static F half_e4m3(const std::byte* p) {
    return rows([&](int i) { return from_f16(static_cast<uint16_t>(byte(p, i) << 7)) * 128; });
  }
  static void store(float* p, const F& x) { std::memcpy(p, x.at, sizeof(x.at)); }
  template <int>
  static void ask(const std::byte*, size_t) {}
};

constexpr PanelKernels made = all_kernels<Portable>("portable");

}  // namespace

const PanelKernels panel_kernels_portable = made;

}  // namespace moiety
