#include "model/family.h"

#include <algorithm>

namespace moiety {

using Score = RouterConfig::Score;

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      // dense
      {.name = "llama", .dense = true, .gguf = "llama", .gguf_interleaved = true},
      {.name = "mistral", .dense = true, .gguf = "llama", .gguf_interleaved = true},
      {.name = "qwen2", .dense = true, .gguf = "qwen2"},
      {.name = "qwen3", .dense = true, .gguf = "qwen3", .qk_norm = QkNorm::per_head},
      {.name = "gemma3_text", .aliases = {"gemma3"}, .dense = true, .gguf = "gemma3", .placement = NormPlacement::sandwich,
       .qk_norm = QkNorm::per_head, .norm_plus_one = true},
      {.name = "olmo2", .dense = true, .gguf = "olmo2", .gguf_head = true, .placement = NormPlacement::post, .qk_norm = QkNorm::whole},
      // what `moiety train` makes where none of the others fits
      {.name = "moiety", .gguf = "moiety"},
      // mixtures of experts
      {.name = "mixtral", .gguf = "llama", .gguf_interleaved = true, .renorm = true},
      {.name = "qwen2_moe", .gguf = "qwen2moe", .gguf_head = true},
      {.name = "qwen3_moe", .gguf = "qwen3moe", .qk_norm = QkNorm::per_head},
      {.name = "olmoe", .gguf = "olmoe", .gguf_head = true, .qk_norm = QkNorm::whole},
      {.name = "flex_olmo", .gguf = nullptr, .placement = NormPlacement::post, .qk_norm = QkNorm::whole},
      {.name = "deepseek_v2", .gguf = "deepseek2", .rope_interleaved = true, .gguf_interleaved = true},
      {.name = "deepseek_v3", .aliases = {"kimi_k2"}, .gguf = "deepseek2", .rope_interleaved = true, .gguf_interleaved = true, .score = Score::sigmoid,
       .choice_bias = true, .renorm = true, .renorm_epsilon = 1e-20},
      {.name = "phimoe", .gguf = "phimoe", .gguf_head = true, .norm = NormKind::layer, .score = Score::sparsemixer},
      {.name = "granitemoe", .gguf = "granitemoe", .gguf_interleaved = true, .score = Score::chosen_softmax},
      {.name = "granitemoeshared", .gguf = "granitemoe", .gguf_interleaved = true, .score = Score::chosen_softmax},
      {.name = "gpt_oss", .gguf = "gpt-oss", .gguf_head = true, .score = Score::chosen_softmax},
      {.name = "ernie4_5_moe", .gguf = "ernie4_5-moe", .rope_interleaved = true, .gguf_interleaved = true, .choice_bias = true,
       .renorm = true},
      {.name = "glm4_moe", .gguf = "glm4moe", .score = Score::sigmoid, .choice_bias = true, .renorm = true,
       .renorm_epsilon = 1e-20},
      {.name = "hunyuan_v1_moe", .gguf = "hunyuan-moe", .qk_norm = QkNorm::per_head, .renorm = true},
      {.name = "dots1", .gguf = "dots1", .gguf_head = true, .qk_norm = QkNorm::per_head, .score = Score::sigmoid, .choice_bias = true, .renorm = true,
       .renorm_epsilon = 1e-20},
      {.name = "minimax_m2", .gguf = "minimax-m2", .gguf_head = true, .qk_norm = QkNorm::whole, .score = Score::sigmoid, .choice_bias = true,
       .renorm = true},
      {.name = "llama4_text", .aliases = {"llama4"}, .gguf = "llama4", .rope_interleaved = true, .gguf_interleaved = true,
       .score = Score::chosen_sigmoid},
      {.name = "longcat_flash", .gguf = nullptr, .rope_interleaved = true, .gguf_interleaved = true, .choice_bias = true},
      {.name = "dbrx", .gguf = "dbrx", .gguf_head = true, .norm = NormKind::layer, .renorm = true},
      {.name = "jetmoe", .gguf = nullptr, .score = Score::chosen_softmax},
      {.name = "exaone_moe", .gguf = "exaone-moe", .gguf_head = true, .qk_norm = QkNorm::per_head, .score = Score::sigmoid, .choice_bias = true,
       .renorm = true, .renorm_epsilon = 1e-20},
      {.name = "cohere2_moe", .gguf = "cohere2moe", .norm = NormKind::layer, .placement = NormPlacement::parallel,
       .rope_interleaved = true, .gguf_interleaved = true, .score = Score::chosen_sigmoid, .renorm = true},
      {.name = "afmoe", .gguf = "afmoe", .placement = NormPlacement::sandwich, .qk_norm = QkNorm::per_head,
       .score = Score::sigmoid, .choice_bias = true, .renorm = true, .renorm_epsilon = 1e-20},
      {.name = "lfm2_moe", .gguf = "lfm2moe", .qk_norm = QkNorm::per_head, .score = Score::sigmoid, .choice_bias = true,
       .renorm = true, .renorm_epsilon = 1e-6},
      {.name = "qwen3_next", .gguf = "qwen3next", .qk_norm = QkNorm::per_head, .norm_plus_one = true},
      {.name = "bailing_hybrid", .gguf = "bailingmoe3", .rope_interleaved = true, .gguf_interleaved = true,
       .score = Score::sigmoid, .choice_bias = true, .renorm = true, .renorm_epsilon = 1e-20},
  };
  return table;
}

const Family* find_family(std::string_view model_type) {
  for (const Family& family : families())
    if (family.name == model_type || std::ranges::count(family.aliases, model_type)) return &family;
  return nullptr;
}

const Family* find_gguf_family(std::string_view architecture) {
  constexpr std::string_view own = "moiety-";
  for (const Family& family : families())
    if (family.gguf ? family.gguf == architecture : architecture.starts_with(own) && architecture.substr(own.size()) == family.name)
      return &family;
  return nullptr;
}

}  // namespace moiety
