// Tokenizers out of SentencePiece .model files.
#include <algorithm>

#include "text/sentencepiece_model.h"
#include "text/tokenizer_parts.h"

namespace moiety {

namespace {

TokenizerData read_data(std::string_view file, const std::string& origin) {
  using Model = SentencePieceModel;
  const Model m = parse_sentencepiece(file, origin);
  TokenizerData d;
  NormalizerStep s{};
  if (!m.charsmap.empty()) {
    s.kind = NormalizerStep::Kind::charsmap;
    s.charsmap = check_charsmap(m.charsmap, origin);
    d.normalizer.push_back(s);
  }
  if (m.collapse) {
    s.kind = NormalizerStep::Kind::collapse_spaces;
    d.normalizer.push_back(s);
  }
  if (m.dummy_prefix) {
    s.kind = NormalizerStep::Kind::prepend, s.to = " ";
    d.normalizer.push_back(s);
    d.strip_first_space = true;
  }
  if (m.escape) {
    s.kind = NormalizerStep::Kind::replace, s.from = " ", s.to = lower_one_eighth;
    d.normalizer.push_back(s);
  }
  Vocabulary vocabulary = vocabulary_of(m.pieces);
  Unknown none;
  auto inside = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < m.pieces.size(); };
  none.id = inside(m.unk) ? m.unk : -1;
  none.bytes = byte_tokens(vocabulary);
  for (size_t i = 0; i < m.pieces.size(); i++) {
    d.tokens.push_back(m.types[i] == Model::control || m.types[i] == Model::unknown ? m.pieces[i] : sentencepiece_bytes(m.pieces[i]));
    if (m.types[i] == Model::user_defined || m.types[i] == Model::control) {
      AddedToken token;
      token.id = static_cast<int32_t>(i);
      token.text = m.pieces[i];
      token.special = m.types[i] == Model::control;
      token.normalized = m.types[i] == Model::user_defined;
      if (ends_a_turn(token.text)) d.ends.push_back(token.id);
      d.added.push_back(token);
    }
    if (m.types[i] != Model::normal && m.types[i] != Model::user_defined) vocabulary.erase(m.pieces[i]);
  }
  if (inside(m.bos)) d.bos = m.bos, d.before.push_back(m.bos);
  if (inside(m.eos)) d.eos = m.eos, d.ends.push_back(m.eos);
  if (!m.unigram && words_stand_alone(vocabulary)) d.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::word_starts, .regex = nullptr});
  d.model = m.unigram ? make_unigram(vocabulary, m.scores, none) : make_scored_bpe(std::move(vocabulary), m.scores, none);
  return d;
}

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::string_view file, const std::string& origin, std::string_view config_json,
                                                              std::string chat_template) {
  TokenizerData data = read_data(file, origin);
  apply_tokenizer_config(config_json, std::move(chat_template), origin, data);
  return std::make_shared<Tokenizer>(std::move(data));
}

}  // namespace moiety
