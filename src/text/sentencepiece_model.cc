// A protocol buffer with pieces, a trainer's and a normaliser's description.
#include "text/sentencepiece_model.h"

#include <cstring>

#include "base/error.h"

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

}  // namespace

SentencePieceModel parse_sentencepiece(std::string_view file, const std::string& origin) {
  SentencePieceModel m;
  Fields model(file, origin);
  while (model.next()) {
    if (model.number == 1) {  // a piece: text, score, type
      Fields piece(model.bytes, origin);
      m.pieces.emplace_back(), m.scores.push_back(0), m.types.push_back(SentencePieceModel::normal);
      while (piece.next()) {
        if (piece.number == 1) m.pieces.back() = std::string(piece.bytes);
        if (piece.number == 2) m.scores.back() = piece.real();
        if (piece.number == 3) m.types.back() = piece.value;
      }
    } else if (model.number == 2) {  // trainer: model type, special ids
      Fields trainer(model.bytes, origin);
      while (trainer.next()) {
        if (trainer.number == 3) {
          if (trainer.value > 2) throw Error("{}: a SentencePiece model of words or characters is not known; unigram and BPE are", origin);
          m.unigram = trainer.value == 1;
        }
        if (trainer.number == 40) m.unk = static_cast<int32_t>(trainer.value);
        if (trainer.number == 41) m.bos = static_cast<int32_t>(trainer.value);
        if (trainer.number == 42) m.eos = static_cast<int32_t>(trainer.value);
      }
    } else if (model.number == 3) {  // normaliser
      Fields normal_form(model.bytes, origin);
      while (normal_form.next()) {
        if (normal_form.number == 2) m.charsmap = std::string(normal_form.bytes);
        if (normal_form.number == 3) m.dummy_prefix = normal_form.value != 0;
        if (normal_form.number == 4) m.collapse = normal_form.value != 0;
        if (normal_form.number == 5) m.escape = normal_form.value != 0;
      }
    }
  }
  if (m.pieces.empty()) throw Error("{}: is no SentencePiece model, or empty", origin);
  return m;
}

}  // namespace moiety
