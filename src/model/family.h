// The families: one row of switches each. A new family is a row here, rows of names in names_hf.cc, and a fixture.
#pragma once
#include <string_view>
#include <vector>

#include "model/config.h"

namespace moiety {

struct Family {
  std::string_view name;                 // model_type in config.json
  std::vector<std::string_view> aliases = {};     // other model_types that mean the same
  bool dense = false;                 // no mixtures, whatever keys the file has
  const char* gguf;                   // general.architecture, or null where llama.cpp has none (then "moiety-" + name)
  bool gguf_head = false;                // llama.cpp wants output.weight in the file, also where it is the embedding
  NormKind norm = NormKind::rms;
  NormPlacement placement = NormPlacement::pre;
  QkNorm qk_norm = QkNorm::none;
  bool rope_interleaved = false;         // in Hugging Face checkpoints
  bool gguf_interleaved = false;         // in GGUF files: where it differs, q and k rows are permuted there
  bool norm_plus_one = false;            // Hugging Face stores weight - 1
  RouterConfig::Score score = RouterConfig::Score::softmax;
  bool choice_bias = false;
  bool renorm = false;                   // where config.json does not say
  double renorm_epsilon = 0;
};

const std::vector<Family>& families();
const Family* find_family(std::string_view model_type);
const Family* find_gguf_family(std::string_view architecture);

}  // namespace moiety
