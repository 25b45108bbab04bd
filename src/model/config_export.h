// The config.json of a Hugging Face directory that is written: what Transformers wants to see there.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "formats/tensor_type.h"
#include "model/config.h"

namespace moiety {

// `json`: the source's, which may be one made from llama.cpp's keys; it gets the class, the type of the weights, and each key under the
// name that the family's class in Transformers reads.
nlohmann::json exported_config(nlohmann::json json, const Config& config, TensorType weights);

}  // namespace moiety
