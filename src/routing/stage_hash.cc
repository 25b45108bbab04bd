// hash(by): the expert that the site's table names for the token, or for the one before it. No router: the choice is known before any layer runs.
//
// Roller et al. 2021, "Hash Layers For Large Sparse Models", arXiv 2106.04426, section 3. The weight is one. A sequence's first token has none
// before it: it stands for itself.
#include "base/error.h"
#include "routing/registry.h"

namespace moiety {
namespace {

class Hash : public SourceStage {
 public:
  Hash(std::span<const float> table, bool previous) : table_(table), previous_(previous) {}

  uint32_t needs() const override { return needs::sequence; }

  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    const std::span<const int32_t> ids = in.sequence ? in.sequence->ids : std::span<const int32_t>();
    if (ids.empty()) throw Error("routing, layer {}: stage hash needs token ids, and this row has none", in.layer);
    const int32_t id = previous_ && ids.size() > 1 ? ids[ids.size() - 2] : ids.back();
    if (id < 0 || static_cast<size_t>(id) >= table_.size())
      throw Error("routing, layer {}: stage hash has a table of {} tokens, which token {} is not among", in.layer, table_.size(), id);
    candidates.push_back({static_cast<uint32_t>(table_[static_cast<size_t>(id)]), 1, 1});
  }

 private:
  std::span<const float> table_;  // [vocabulary] an expert each
  bool previous_;
};

}  // namespace

StageInfo hash_stage() {
  return {.name = "hash", .signature = "by:token|previous=token",
          .meaning = "the expert that the model's table names for the token, or for the one before it; weight 1, no router",
          .source = "Roller et al. 2021, arXiv 2106.04426", .selects = true, .is_source = true,
          .build = [](const Arguments& a, const StageSite& site) -> AnyStage {
            const std::span<const float> table = site.tensors.find ? site.tensors.find("table") : std::span<const float>();
            if (table.empty()) throw UsageError("routing stage hash: layer {} of this model has no table of tokens", site.layer);
            for (float expert : table)
              if (!(expert >= 0 && expert < static_cast<float>(site.all_ids())))
                throw UsageError("routing stage hash: the table of layer {} names expert {} of {}", site.layer, expert, site.all_ids());
            return std::make_unique<Hash>(table, a.word("by") == "previous");
          }};
}

}  // namespace moiety
