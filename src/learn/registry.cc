// All parts, kinds of experts, balances, inputs, heads, objectives, schedules and rules for parameters, in lists: one function a file, one line here.
#include "learn/balance.h"
#include "learn/expert_kind.h"
#include "learn/head.h"
#include "learn/input.h"
#include "learn/objective.h"
#include "learn/part.h"
#include "learn/rule.h"

namespace moiety {

PartInfo causal_attention_part();
PartInfo latent_attention_part();
PartInfo short_convolution_part();
PartInfo delta_net_part();
PartInfo expert_attention_part();
PartInfo dense_part();
PartInfo moe_part();
ExpertKindInfo swiglu_experts();
ExpertKindInfo gelu_experts();
ExpertKindInfo relu_experts();
ExpertKindInfo zero_experts();
ExpertKindInfo copy_experts();
ExpertKindInfo constant_experts();
BalanceInfo switch_aux_balance();
BalanceInfo sequence_aux_balance();
BalanceInfo entropy_balance();
BalanceInfo z_loss_balance();
BalanceInfo bias_update_balance();
InputInfo tokens_input();
HeadInfo vocabulary_head();
HeadInfo multi_token_head();
ObjectiveInfo next_token_objective();
ObjectiveInfo sam_objective();
ScheduleInfo linear_schedule();
ScheduleInfo cosine_schedule();
ScheduleInfo wsd_schedule();
RuleInfo rate_rule();
RuleInfo decay_rule();
RuleInfo freeze_rule();
RuleInfo layer_rate_rule();
RuleInfo deviation_rule();

std::span<const PartInfo> mixer_parts() {
  static const PartInfo all[] = {causal_attention_part(), latent_attention_part(), short_convolution_part(), delta_net_part(), expert_attention_part()};
  return all;
}
std::span<const PartInfo> ffn_parts() {
  static const PartInfo all[] = {dense_part(), moe_part()};
  return all;
}
// The first is what an expert is that says nothing else.
std::span<const ExpertKindInfo> expert_kinds() {
  static const ExpertKindInfo all[] = {swiglu_experts(), gelu_experts(), relu_experts(), zero_experts(), copy_experts(), constant_experts()};
  return all;
}
std::span<const BalanceInfo> balance_kinds() {
  static const BalanceInfo all[] = {switch_aux_balance(), sequence_aux_balance(), entropy_balance(), z_loss_balance(), bias_update_balance()};
  return all;
}
std::span<const InputInfo> inputs() {
  static const InputInfo all[] = {tokens_input()};
  return all;
}
std::span<const HeadInfo> heads() {
  static const HeadInfo all[] = {vocabulary_head(), multi_token_head()};
  return all;
}
std::span<const ObjectiveInfo> objectives() {
  static const ObjectiveInfo all[] = {next_token_objective(), sam_objective()};
  return all;
}
std::span<const ScheduleInfo> schedules() {
  static const ScheduleInfo all[] = {linear_schedule(), cosine_schedule(), wsd_schedule()};
  return all;
}
std::span<const RuleInfo> rule_kinds() {
  static const RuleInfo all[] = {rate_rule(), decay_rule(), freeze_rule(), layer_rate_rule(), deviation_rule()};
  return all;
}

}  // namespace moiety
