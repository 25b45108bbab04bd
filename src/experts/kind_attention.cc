// Query and output projections of an expert of attention: it serves no rows by itself (model/expert_attention.cc).   Zhang et al. 2022, arXiv 2210.05144.
#include "experts/kind.h"

namespace moiety {
namespace {

constexpr PartShape parts[] = {{PartRole::query, "attn_q", PartSize::width, PartSize::model}, {PartRole::output, "attn_output", PartSize::model, PartSize::width}};

}  // namespace

constinit const ExpertKind attention_expert = {.name = "attention", .config_name = "", .parts = parts};

}  // namespace moiety
