// Rope parameters of a config.json, of either style: rope_theta and rope_scaling, or rope_parameters.
#pragma once
#include <vector>

#include "model/config.h"
#include "model/keys.h"

namespace moiety {

// The object that holds the scaling's numbers; empty if there is none.
Keys rope_parameters(const Keys& keys, const Family& family);
// `head`: numbers in a head (of latent attention: in its rope part).
Rope read_rope(const Keys& keys, const Family& family, uint32_t head);
// All ropes of the model: one, or global and local (gemma3).
std::vector<Rope> read_ropes(const Keys& keys, const Config& config);

}  // namespace moiety
