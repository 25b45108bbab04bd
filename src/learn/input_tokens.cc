// kind = "tokens": a row of a table for each token.
#include "learn/function_head.h"
#include "learn/input.h"

namespace moiety {
namespace {

class Tokens : public InputPart {
 public:
  explicit Tokens(const PartSite& s) : arena_(s.arena), table_(s.arena.declare("token_embd.weight", {s.vocabulary, s.d}, {0, s.deviation})) {}

  at::Tensor forward(const RowContext& rows, TrainingStep& step) override { return embedding(rows.ids, arena_.value(table_), step.pass); }
  size_t table() const override { return table_; }
  size_t active_parameters() const override { return 0; }  // a row of the table is next to nothing

 private:
  Arena& arena_;
  size_t table_;
};

}  // namespace

InputInfo tokens_input() {
  return {"tokens", "a row of a table for each token", "", [](const Table&, const PartSite& site) -> std::unique_ptr<InputPart> { return std::make_unique<Tokens>(site); }};
}

}  // namespace moiety
