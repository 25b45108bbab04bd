// layer_rate = r: the last block moves as the optimiser says, each block before it by r times the one above, the embedding as a block before the first.
// Howard and Ruder 2018, "Universal Language Model Fine-tuning", arXiv 1801.06146, section 3.2: there r = 1 / 2.6.
#include <cmath>

#include "learn/pieces.h"
#include "learn/rule.h"

namespace moiety {
namespace {

// Of "blk.3." 4, of the embedding 0; what follows the blocks counts as the last.
int64_t height_of(const Parameter& p, int64_t blocks) {
  if (!block_of(p).empty()) return int64_t{layer_of(p)} + 1;
  return p.name.starts_with("token_embd.") ? 0 : blocks;
}

}  // namespace

RuleInfo layer_rate_rule() {
  return {"layer_rate", "times the rate, once for every block above", "Howard and Ruder 2018, arXiv 1801.06146, section 3.2", true, [](const Table& rule, const Arena& arena) -> RuleEffect {
            int64_t blocks = 0;
            for (const Parameter& p : arena.parameters()) blocks = std::max(blocks, height_of(p, 0));
            const float factor = factor_of(rule, "layer_rate");
            return [=](Parameter& p, Motion& m) { m.rate *= std::pow(factor, static_cast<float>(blocks - height_of(p, blocks))); };
          }};
}

}  // namespace moiety
