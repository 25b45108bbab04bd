// SentencePiece .model files: a protocol buffer with pieces, a trainer's and a normaliser's description.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "text/tokenizer_parts.h"

namespace moiety {
namespace {

// Fields of a protocol buffer message, one after another.
class Fields {
 public:
  Fields(std::string_view message, const std::string& origin) : rest_(message), origin_(origin) {}

  bool next() {
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    number = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0: value = varint(); break;
      case 1: bytes = take(8); break;
      case 2: bytes = take(varint()); break;
      case 5: bytes = take(4); break;
      default: fail();
    }
    return true;
  }
  float real() const {
    if (bytes.size() != 4) fail();
    float out;
    std::memcpy(&out, bytes.data(), 4);
    return out;
  }

  uint32_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;

 private:
  [[noreturn]] void fail() const { throw Error("{}: is no SentencePiece model, or damaged", origin_); }
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) fail();
      const auto byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      out |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return out;
    }
    fail();
  }
  std::string_view take(uint64_t n) {
    if (n > rest_.size()) fail();
    const std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  std::string_view rest_;
  const std::string& origin_;
};

enum PieceType : uint64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::string_view file, const std::string& origin) {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<uint64_t> types;
  bool unigram = true, dummy_prefix = true, collapse = true, escape = true;
  int32_t bos = 1, eos = 2, unk = 0;
  std::string charsmap;
  Fields model(file, origin);
  while (model.next()) {
    if (model.number == 1) {  // a piece: text, score, type
      Fields piece(model.bytes, origin);
      pieces.emplace_back(), scores.push_back(0), types.push_back(normal);
      while (piece.next()) {
        if (piece.number == 1) pieces.back() = std::string(piece.bytes);
        if (piece.number == 2) scores.back() = piece.real();
        if (piece.number == 3) types.back() = piece.value;
      }
    } else if (model.number == 2) {  // trainer: model type, special ids
      Fields trainer(model.bytes, origin);
      while (trainer.next()) {
        if (trainer.number == 3) {
          if (trainer.value > 2) throw Error("{}: a SentencePiece model of words or characters is not known; unigram and BPE are", origin);
          unigram = trainer.value == 1;
        }
        if (trainer.number == 40) unk = static_cast<int32_t>(trainer.value);
        if (trainer.number == 41) bos = static_cast<int32_t>(trainer.value);
        if (trainer.number == 42) eos = static_cast<int32_t>(trainer.value);
      }
    } else if (model.number == 3) {  // normaliser
      Fields normal_form(model.bytes, origin);
      while (normal_form.next()) {
        if (normal_form.number == 2) charsmap = std::string(normal_form.bytes);
        if (normal_form.number == 3) dummy_prefix = normal_form.value != 0;
        if (normal_form.number == 4) collapse = normal_form.value != 0;
        if (normal_form.number == 5) escape = normal_form.value != 0;
      }
    }
  }
  if (pieces.empty()) throw Error("{}: is no SentencePiece model, or empty", origin);

  TokenizerData d;
  NormalizerStep s{};
  if (!charsmap.empty()) {
    s.kind = NormalizerStep::Kind::charsmap;
    s.charsmap = check_charsmap(std::move(charsmap), origin);
    d.normalizer.push_back(s);
  }
  if (collapse) {
    s.kind = NormalizerStep::Kind::collapse_spaces;
    d.normalizer.push_back(s);
  }
  if (dummy_prefix) {
    s.kind = NormalizerStep::Kind::prepend, s.to = " ";
    d.normalizer.push_back(s);
    d.strip_first_space = true;
  }
  if (escape) {
    s.kind = NormalizerStep::Kind::replace, s.from = " ", s.to = lower_one_eighth;
    d.normalizer.push_back(s);
  }
  Vocabulary vocabulary = vocabulary_of(pieces);
  Unknown none;
  none.id = unk;
  none.bytes = byte_tokens(vocabulary);
  auto inside = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < pieces.size(); };
  for (size_t i = 0; i < pieces.size(); i++) {
    d.tokens.push_back(types[i] == control || types[i] == unknown ? pieces[i] : sentencepiece_bytes(pieces[i]));
    if (types[i] == user_defined || types[i] == control) {
      AddedToken token;
      token.id = static_cast<int32_t>(i);
      token.text = pieces[i];
      token.special = types[i] == control;
      token.normalized = types[i] == user_defined;
      if (ends_a_turn(token.text)) d.ends.push_back(token.id);
      d.added.push_back(token);
    }
    if (types[i] != normal && types[i] != user_defined) vocabulary.erase(pieces[i]);
  }
  if (inside(bos)) d.bos = bos, d.before.push_back(bos);
  if (inside(eos)) d.eos = eos, d.ends.push_back(eos);
  if (!unigram && words_stand_alone(vocabulary)) d.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::word_starts, .regex = nullptr});
  d.model = unigram ? make_unigram(vocabulary, std::move(scores), none) : make_scored_bpe(std::move(vocabulary), std::move(scores), none);
  return std::make_shared<Tokenizer>(std::move(d));
}

}  // namespace moiety
