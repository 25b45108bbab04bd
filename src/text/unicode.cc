#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdlib>
#include <memory>
#include <span>

#include "text/utf8.h"

namespace moiety {
namespace {

struct Range {
  uint32_t first, last;
};

// Letters that came with Unicode 15.1 and 16.
constexpr Range kNewLetters[] = {
    {0x1c89, 0x1c8a}, {0xa7cb, 0xa7cd}, {0xa7da, 0xa7dc}, {0x105c0, 0x105f3}, {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85},
    {0x10ec2, 0x10ec4}, {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5}, {0x113b7, 0x113b7},
    {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0}, {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c},
    {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed}, {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d}};

// Numbers that came with Unicode 16.
constexpr Range kNewNumbers[] = {
    {0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9}, {0x16130, 0x16139}, {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9},
    {0x1e5f1, 0x1e5fa}};

// Punctuation that is younger than Unicode 8.
constexpr Range kYoungPunctuation[] = {
    {0x61d, 0x61d}, {0x9fd, 0x9fd}, {0xa76, 0xa76}, {0xc77, 0xc77}, {0xc84, 0xc84}, {0x1b7d, 0x1b7e}, {0x2e43, 0x2e4f},
    {0x2e52, 0x2e5d}, {0x10ead, 0x10ead}, {0x10f55, 0x10f59}, {0x10f86, 0x10f89}, {0x1144b, 0x1144f}, {0x1145a, 0x1145b},
    {0x1145d, 0x1145d}, {0x11660, 0x1166c}, {0x116b9, 0x116b9}, {0x1183b, 0x1183b}, {0x11944, 0x11946}, {0x119e2, 0x119e2},
    {0x11a3f, 0x11a46}, {0x11a9a, 0x11a9c}, {0x11a9e, 0x11aa2}, {0x11b00, 0x11b09}, {0x11c41, 0x11c45}, {0x11c70, 0x11c71},
    {0x11ef7, 0x11ef8}, {0x11f43, 0x11f4f}, {0x11fff, 0x11fff}, {0x12ff1, 0x12ff2}, {0x16e97, 0x16e9a}, {0x16fe2, 0x16fe2},
    {0x1e95e, 0x1e95f}};

// Nonspacing marks that are younger than Unicode 8.
constexpr Range kYoungAccents[] = {
    {0x7fd, 0x7fd}, {0x898, 0x89f}, {0x8ca, 0x8e1}, {0x9fe, 0x9fe}, {0xafa, 0xaff}, {0xb55, 0xb55}, {0xc04, 0xc04}, {0xc3c, 0xc3c},
    {0xd00, 0xd00}, {0xd3b, 0xd3c}, {0xd81, 0xd81}, {0xeba, 0xeba}, {0xece, 0xece}, {0x180f, 0x180f}, {0x1885, 0x1886},
    {0x1abf, 0x1ace}, {0x1df6, 0x1dfb}, {0xa82c, 0xa82c}, {0xa8c5, 0xa8c5}, {0xa8ff, 0xa8ff}, {0xa9bd, 0xa9bd}, {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x11073, 0x11074},
    {0x110c2, 0x110c2}, {0x111c9, 0x111c9}, {0x111cf, 0x111cf}, {0x1123e, 0x1123e}, {0x11241, 0x11241}, {0x1133b, 0x1133b},
    {0x11438, 0x1143f}, {0x11442, 0x11444}, {0x11446, 0x11446}, {0x1145e, 0x1145e}, {0x1182f, 0x11837}, {0x11839, 0x1183a},
    {0x1193b, 0x1193c}, {0x1193e, 0x1193e}, {0x11943, 0x11943}, {0x119d4, 0x119d7}, {0x119da, 0x119db}, {0x119e0, 0x119e0},
    {0x11a01, 0x11a0a}, {0x11a33, 0x11a38}, {0x11a3b, 0x11a3e}, {0x11a47, 0x11a47}, {0x11a51, 0x11a56}, {0x11a59, 0x11a5b},
    {0x11a8a, 0x11a96}, {0x11a98, 0x11a99}, {0x11c30, 0x11c36}, {0x11c38, 0x11c3d}, {0x11c3f, 0x11c3f}, {0x11c92, 0x11ca7},
    {0x11caa, 0x11cb0}, {0x11cb2, 0x11cb3}, {0x11cb5, 0x11cb6}, {0x11d31, 0x11d36}, {0x11d3a, 0x11d3a}, {0x11d3c, 0x11d3d},
    {0x11d3f, 0x11d45}, {0x11d47, 0x11d47}, {0x11d90, 0x11d91}, {0x11d95, 0x11d95}, {0x11d97, 0x11d97}, {0x11ef3, 0x11ef4},
    {0x11f00, 0x11f01}, {0x11f36, 0x11f3a}, {0x11f40, 0x11f40}, {0x11f42, 0x11f42}, {0x13440, 0x13440}, {0x13447, 0x13455},
    {0x16f4f, 0x16f4f}, {0x16fe4, 0x16fe4}, {0x1cf00, 0x1cf2d}, {0x1cf30, 0x1cf46}, {0x1e000, 0x1e006}, {0x1e008, 0x1e018},
    {0x1e01b, 0x1e021}, {0x1e023, 0x1e024}, {0x1e026, 0x1e02a}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1e944, 0x1e94a}};

// Format characters that are younger than Unicode 8.
constexpr Range kYoungControls[] = {
    {0x890, 0x891}, {0x8e2, 0x8e2}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}};

bool among(std::span<const Range> ranges, uint32_t c) {
  const auto found = std::ranges::lower_bound(ranges, c, {}, &Range::last);
  return found != ranges.end() && c >= found->first;
}

utf8proc_category_t category(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

CharClass look_up(uint32_t c) {
  const utf8proc_category_t k = category(c);
  if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) return CharClass::letter;
  if (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) return CharClass::number;
  if (is_space(c)) return CharClass::space;
  if (k != UTF8PROC_CATEGORY_CN) return CharClass::other;
  return among(kNewLetters, c) ? CharClass::letter : among(kNewNumbers, c) ? CharClass::number : CharClass::other;
}

}  // namespace

CharClass class_of(uint32_t c) {
  static const auto common = [] {  // Latin to Cyrillic, without a call
    std::array<CharClass, 0x500> t{};
    for (uint32_t i = 0; i < t.size(); i++) t[i] = look_up(i);
    return t;
  }();
  return c < common.size() ? common[c] : look_up(c);
}

bool is_decimal_digit(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_space(uint32_t c) {
  const auto k = category(c);
  return (c >= 9 && c <= 13) || c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

bool is_bert_punctuation(uint32_t c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  if (c == 0x166d || c == 0x111c9) return true;  // were punctuation then
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO && !among(kYoungPunctuation, c);
}

bool is_bert_accent(uint32_t c) {
  return c == 0x1734 || (category(c) == UTF8PROC_CATEGORY_MN && !among(kYoungAccents, c));  // U+1734 was one then
}

bool is_bert_control(uint32_t c) {
  if (c == 0 || c == 0xfffd) return true;
  const auto k = category(c);
  return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO) && !among(kYoungControls, c);
}

bool is_mark(uint32_t c) {
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

uint32_t to_lower(uint32_t c) { return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))); }

namespace {

// Code points that composition never changes and that never join what stands before them: a text may be cut in front of them.
bool stands_alone(uint32_t c) {
  constexpr uint32_t kEnd = 0x30000;  // beyond, nothing composes
  static const auto table = [] {
    auto out = std::make_unique<std::bitset<kEnd>>();
    for (uint32_t i = 0; i < kEnd; i++) {
      const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(i));
      const bool second = (p->comb_index != UINT16_MAX && p->comb_index >= 0x8000) || (i >= 0x1100 && i <= 0x11ff);
      bool same = true;
      if (p->decomp_seqindex != UINT16_MAX && p->decomp_type == 0) {
        utf8proc_int32_t points[8];
        auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(i), points, 8, UTF8PROC_DECOMPOSE, nullptr);
        n = utf8proc_normalize_utf32(points, n, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        same = n == 1 && points[0] == static_cast<utf8proc_int32_t>(i);
      }
      (*out)[i] = p->combining_class == 0 && !second && same;
    }
    return out;
  }();
  return c < 0x300 || c >= kEnd || (*table)[c];
}

void append_composed(std::string& out, std::string_view text) {
  utf8proc_uint8_t* made = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &made,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) out += text;
  else out.append(reinterpret_cast<const char*>(made), static_cast<size_t>(size));
  std::free(made);
}

}  // namespace

// Only the stretches that can change are composed: a code point and what may join it.
std::string compose(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  size_t copied = 0, begin = 0;  // begin: of the last code point that stands alone
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest(text.data() + i, text.size() - i);
    const size_t n = utf8_length(rest);
    if (n == 0 || stands_alone(utf8_code_point(rest))) {
      begin = i;
      i += n ? n : 1;
      if (n == 0) begin = i;  // nothing joins a stray byte
      continue;
    }
    size_t end = i + n;
    while (end < text.size()) {
      const std::string_view next(text.data() + end, text.size() - end);
      const size_t m = utf8_length(next);
      if (m == 0 || stands_alone(utf8_code_point(next))) break;
      end += m;
    }
    out.append(text, copied, begin - copied);
    append_composed(out, std::string_view(text).substr(begin, end - begin));
    copied = begin = i = end;
  }
  return out.append(text, copied);
}

}  // namespace moiety
