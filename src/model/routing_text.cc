// A family's routing as the text that a user could write.
#include <fmt/format.h>

#include <cstdlib>

#include "model/config.h"

namespace moiety {

namespace {

std::string renorm_text(const RouterConfig& r) {
  std::string arguments;
  auto argument = [&](const char* name, double value) { arguments += fmt::format("{}{}={}", arguments.empty() ? "" : ", ", name, value); };
  if (r.renorm_epsilon != 0) argument("eps", r.renorm_epsilon);
  if (r.renorm_floor > 1e-6) argument("min", r.renorm_floor);  // no sum of probabilities is ever below less
  if (r.renorm_power != 1) argument("power", r.renorm_power);
  return arguments.empty() ? "renorm" : "renorm(" + arguments + ")";
}

}  // namespace

std::string routing_text(const RouterConfig& r) {
  using Score = RouterConfig::Score;
  if (r.score == Score::sparsemixer) return fmt::format("sparsemixer({}, {})", r.top_k, r.jitter);
  std::string text;
  auto stage = [&](std::string s) { text += (text.empty() ? "" : " | ") + s; };
  if (r.score == Score::softmax) stage("softmax");
  if (r.score == Score::sigmoid) stage("sigmoid");
  if (r.choice_bias) stage("bias");
  if (r.groups > 1)
    stage(fmt::format("groups({}, {}, rank={})", r.groups, r.top_groups,
                      r.group_rank == RouterConfig::GroupRank::max ? "max" : "sum2"));
  stage(fmt::format("top_k({})", r.top_k));
  if (r.score == Score::chosen_softmax) stage("softmax");
  if (r.score == Score::chosen_sigmoid) stage("sigmoid");
  if (r.renorm) stage(renorm_text(r));
  if (r.scale != 1) stage(fmt::format("scale({})", r.scale));
  return text;
}

uint32_t first_top_k(const std::string& routing) {
  constexpr std::string_view stage = "top_k(";
  const size_t at = routing.find(stage);
  const unsigned long long k = at == std::string::npos ? 0 : std::strtoull(routing.c_str() + at + stage.size(), nullptr, 10);
  return k <= UINT32_MAX ? static_cast<uint32_t>(k) : 0;
}

}  // namespace moiety
