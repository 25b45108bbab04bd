#include "text/tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "text/utf8.h"
#include "text/word_cache.h"

namespace moiety {
namespace {

bool word_character(std::string_view s) {
  if (s.empty()) return false;
  const uint32_t c = utf8_code_point(s);
  const auto k = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return c == '_' || (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO);
}

std::string_view last_character(std::string_view s) {
  size_t begin = s.size();
  while (begin > 0 && (static_cast<unsigned char>(s[--begin]) & 0xc0) == 0x80) {
  }
  return s.substr(begin);
}

bool space(char c) { return c == ' ' || (c >= 9 && c <= 13); }

uint64_t next_serial() {
  static std::atomic<uint64_t> next = 1;
  return next++;
}

// The harmony form of gpt-oss ends each channel of an answer with <|end|>, and the answer with <|return|> or <|call|>.
void keep_channels_open(TokenizerData& d) {
  auto id_of = [&d](std::string_view text) {
    const auto token = std::ranges::find(d.added, text, &AddedToken::text);
    return token == d.added.end() ? -1 : token->id;
  };
  if (id_of("<|return|>") >= 0 && id_of("<|call|>") >= 0) std::erase(d.ends, id_of("<|end|>"));
}

}  // namespace

Tokenizer::Tokenizer(TokenizerData data) : d_(std::move(data)), serial_(next_serial()), special_(d_.tokens.size()) {
  std::vector<std::pair<std::string, int32_t>> names;
  for (size_t i = 0; i < d_.added.size(); i++) {
    const AddedToken& token = d_.added[i];
    names.emplace_back(token.text, static_cast<int32_t>(i));
    any_normalized_ |= token.normalized;
    if (token.special && token.id >= 0 && static_cast<size_t>(token.id) < special_.size()) special_[static_cast<size_t>(token.id)] = true;
  }
  added_ = Trie(std::move(names));
  keep_channels_open(d_);
}

const std::string& Tokenizer::bytes_of(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= d_.tokens.size()) throw Error("token id {} is outside the vocabulary of {}", id, d_.tokens.size());
  return d_.tokens[static_cast<size_t>(id)];
}

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  for (const AddedToken& added : d_.added)
    if (added.text == token) return added.id;
  for (size_t i = 0; i < d_.tokens.size(); i++)
    if (d_.tokens[i] == token) return static_cast<int32_t>(i);
  return {};
}

// The longest added token that begins at `at`, or null.
const AddedToken* Tokenizer::added_at(std::string_view text, size_t at, bool normalized, bool parse_special) const {
  const AddedToken* best = nullptr;
  added_.prefixes(text.substr(at), [&](size_t bytes, int32_t index) {
    const AddedToken& token = d_.added[static_cast<size_t>(index)];
    if (token.normalized != normalized || (token.special && !parse_special)) return;
    if (token.single_word && (word_character(last_character(text.substr(0, at))) || word_character(text.substr(at + bytes)))) return;
    best = &token;
  });
  return best;
}

// Finds added tokens, leftmost and longest; text between them is left for later.
std::vector<Tokenizer::Segment> Tokenizer::cut_added(std::string_view text, bool normalized, bool parse_special) const {
  std::vector<Segment> out;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); i++) {
    const AddedToken* token = added_at(text, i, normalized, parse_special);
    if (!token) continue;
    size_t from = i, to = i + token->text.size();
    if (token->lstrip)
      while (from > begin && space(text[from - 1])) from--;
    if (token->rstrip)
      while (to < text.size() && space(text[to])) to++;
    if (from > begin) out.push_back({text.substr(begin, from - begin), -1});
    out.push_back({text.substr(from, to - from), token->id});
    begin = to;
    i = to - 1;
  }
  if (begin < text.size()) out.push_back({text.substr(begin), -1});
  return out;
}

void Tokenizer::encode_pieces(std::string text, bool first, std::vector<int32_t>& out) const {
  if (text.empty()) return;
  static thread_local WordCache known;
  static thread_local uint64_t owner = 0;
  if (owner != serial_) known.clear(), owner = serial_;
  const Pieces pieces = pre_tokenize(d_.pre_tokenizer, std::move(text), first);
  for (size_t i = 0; i < pieces.spans.size(); i++) {
    const std::string_view piece = pieces[i];
    WordCache::Slot* slot = known.place(piece);
    if (slot && WordCache::holds(*slot, piece)) {
      out.insert(out.end(), slot->ids, slot->ids + slot->count);
      continue;
    }
    const size_t old = out.size();
    d_.model->encode(piece, out);
    if (slot) WordCache::put(*slot, piece, std::span(out).subspan(old));
  }
}

void Tokenizer::encode_text(std::string_view text, bool first, bool parse_special, std::vector<int32_t>& out) const {
  std::string normal = normalize(d_.normalizer, std::string(text));
  if (!any_normalized_) return encode_pieces(std::move(normal), first, out);
  for (const Segment& segment : cut_added(normal, true, parse_special)) {
    if (segment.id >= 0) out.push_back(segment.id);
    else encode_pieces(std::string(segment.text), first && segment.text.data() == normal.data(), out);
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special) out = d_.before;
  for (const Segment& segment : cut_added(text, false, options.parse_special)) {
    if (segment.id >= 0) out.push_back(segment.id);
    else encode_text(segment.text, segment.text.data() == text.data(), options.parse_special, out);
  }
  if (options.add_special) out.insert(out.end(), d_.after.begin(), d_.after.end());
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  bool first = true;
  for (int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    std::string_view bytes = bytes_of(id);
    if (first && strips_first_space() && bytes.starts_with(' ')) bytes.remove_prefix(1);
    if (!is_special(id)) first = false;
    out += bytes;
  }
  return out;
}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  std::string_view bytes = tokenizer_.bytes_of(id);
  if (first_ && tokenizer_.strips_first_space() && bytes.starts_with(' ')) bytes.remove_prefix(1);
  if (!tokenizer_.is_special(id)) first_ = false;
  pending_ += bytes;
  // What may be the beginning of a character, up to three bytes, is held back.
  std::string out;
  size_t i = 0;
  while (i < pending_.size()) {
    const std::string_view rest(pending_.data() + i, pending_.size() - i);
    if (const size_t n = utf8_length(rest)) {
      out += rest.substr(0, n);
      i += n;
      continue;
    }
    bool cut;
    const size_t damaged = utf8_damage(rest, cut);
    if (cut) break;
    out += "\xef\xbf\xbd";
    i += damaged;
  }
  pending_.erase(0, i);
  return out;
}

std::string StreamDecoder::flush() {
  std::string out;
  if (!pending_.empty()) out = "\xef\xbf\xbd";
  pending_.clear();
  return out;
}

}  // namespace moiety
