// What config.json says of experts: which layers have them, how a site routes, how wide it is.
#pragma once
#include <vector>

#include "model/config.h"
#include "model/keys.h"

namespace moiety {

// For each layer whether its FFN is a mixture.
std::vector<bool> expert_layers(const Keys& keys, const Family& family, uint32_t layers);
SiteConfig read_site(const Keys& keys, const Config& config, uint32_t layer);
// Of the layers without experts.
uint32_t dense_width(const Keys& keys, const Family& family);

}  // namespace moiety
