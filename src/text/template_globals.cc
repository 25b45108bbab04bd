// The functions that every template may call: Jinja's own, and those that Transformers adds.
#include <cmath>
#include <ctime>

#include "base/error.h"
#include "text/template_eval.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

V make_dict(const Call& call, bool name_space) {
  V out = V::dict();
  out.flag = name_space;
  for (const V& v : call.positional)
    if (v.is(Type::dict))
      for (const auto& [key, value] : *v.pairs) out.set(key, value);
  for (const auto& [key, value] : call.named) out.set(V::of(key), value);
  return out;
}

V range(const Call& call) {
  const size_t count = call.positional.size();
  if (count == 0 || count > 3) throw Error("range expected 1 to 3 arguments, got {}", count);
  for (const V& v : call.positional)
    if (!v.is_number() || v.is(Type::floating)) throw Error("'{}' object cannot be interpreted as an integer", v.type_name());
  const auto at = [&](size_t i) { return call.positional[i].as_integer(); };
  const long long begin = count > 1 ? at(0) : 0, end = count > 1 ? at(1) : at(0), step = count > 2 ? at(2) : 1;
  if (step == 0) throw Error("range() arg 3 must not be zero");
  const double length = std::ceil((static_cast<double>(end) - static_cast<double>(begin)) / static_cast<double>(step));
  if (length > static_cast<double>(template_max_items)) throw Error("range of more than {} numbers", template_max_items);
  Values out;
  for (long long i = 0; static_cast<double>(i) < length; i++) out.push_back(V::of(begin + i * step));
  return V::list(out);
}

V now(const Call& call) {
  const std::string format = call.positional.empty() ? "%c" : call.positional[0].str();
  const std::time_t time = std::time(nullptr);
  char buffer[512];
  std::tm local{};
  localtime_r(&time, &local);
  return V::of(std::string(buffer, std::strftime(buffer, sizeof(buffer), format.c_str(), &local)));
}

}  // namespace

std::unordered_map<std::string, V> template_globals() {
  std::unordered_map<std::string, V> out;
  out["namespace"] = V::callable([](const Call& call) { return make_dict(call, true); });
  out["dict"] = V::callable([](const Call& call) { return make_dict(call, false); });
  out["range"] = V::callable(range);
  out["raise_exception"] = V::callable([](const Call& call) -> V { throw Error("{}", call.positional.empty() ? "" : call.positional[0].str()); });
  out["strftime_now"] = V::callable(now);
  return out;
}

}  // namespace moiety
