// What parts say of themselves for export.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace moiety {

// What a part is, in the keys of a Hugging Face config.json, and its routing: for export to a family that is so. And what it is in Moiety's own keys.
struct PartFacts {
  nlohmann::json config = nlohmann::json::object();
  std::string qk_norm;       // of attention
  bool latent = false;       // whose keys and values come out of a latent vector
  bool bias = false;         // of its queries, keys and values
  std::string routing;       // of a site; empty: none
  int64_t shared_width = 0;  // of the SwiGLU FFN that every row uses beside it; 0: none
  bool shared_gate = false;  // whether that has a gate
  size_t dense_first = 0;    // of a stack: blocks before those with experts
  std::string beyond;        // what those keys have no words for; empty: they say all
  std::string unwritten;     // what Moiety's own have no words for, either: only a model that a run starts from has it
  nlohmann::json own = nlohmann::json::object();  // model/config_own.h: of a block's "attention" or "ffn"
};

}  // namespace moiety
