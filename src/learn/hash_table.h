// The table of the routing stage `hash`: an expert for each token.
#pragma once
#include <cstdint>
#include <span>

namespace moiety {

// With the tokens' counts in the text, the experts' shares of it come out as even as giving the most frequent token first to the expert with the
// least allows; without counts, experts are drawn. Roller et al. 2021, arXiv 2106.04426, section 3.1 and 3.2.
void fill_hash_table(std::span<float> table, std::span<const uint64_t> counts, size_t experts, uint64_t seed);

}  // namespace moiety
