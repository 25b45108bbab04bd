// What stands behind `is`.
#include "base/error.h"
#include "text/template_value.h"

namespace moiety {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

std::optional<bool> apply_test(const std::string& name, const V& v, const Call& call) {
  auto other = [&]() -> const V& {
    if (call.positional.empty()) throw Error("test {} needs an argument", name);
    return call.positional[0];
  };
  auto compared = [&](auto good) {
    const auto o = order(v, other());
    if (!o) throw Error("'{}' and '{}' have no order", v.type_name(), other().type_name());
    return good(*o);
  };
  if (name == "defined") return !v.is(Type::undefined);
  if (name == "undefined") return v.is(Type::undefined);
  if (name == "none") return v.is(Type::none);
  if (name == "string") return v.is(Type::string);
  if (name == "number") return v.is_number();
  if (name == "integer") return v.is(Type::integer);
  if (name == "float") return v.is(Type::floating);
  if (name == "boolean") return v.is(Type::boolean);
  if (name == "true") return v.is(Type::boolean) && v.flag;
  if (name == "false") return v.is(Type::boolean) && !v.flag;
  if (name == "mapping") return v.is(Type::dict);
  if (name == "iterable") return v.is(Type::list) || v.is(Type::dict) || v.is(Type::string) || v.is(Type::undefined);
  if (name == "sequence") return v.is(Type::list) || v.is(Type::dict) || v.is(Type::string) || v.is(Type::undefined);
  if (name == "callable") return v.is(Type::function);
  if (name == "odd" || name == "even") return equal(calculate("%", v, V::of(2LL)), V::of(name == "odd" ? 1LL : 0LL));
  if (name == "divisibleby") return equal(calculate("%", v, other()), V::of(0LL));
  if (name == "sameas") return v.type == other().type && v.items == other().items && v.pairs == other().pairs && (v.items || v.pairs || equal(v, other()));
  if (name == "eq" || name == "equalto" || name == "==") return equal(v, other());
  if (name == "ne" || name == "!=") return !equal(v, other());
  if (name == "gt" || name == "greaterthan" || name == ">") return compared([](int o) { return o > 0; });
  if (name == "ge" || name == ">=") return compared([](int o) { return o >= 0; });
  if (name == "lt" || name == "lessthan" || name == "<") return compared([](int o) { return o < 0; });
  if (name == "le" || name == "<=") return compared([](int o) { return o <= 0; });
  if (name == "in") return contains(other(), v);
  if (name == "lower") return v.str() == to_lower(v.str()) && v.str() != to_upper(v.str());
  if (name == "upper") return v.str() == to_upper(v.str()) && v.str() != to_lower(v.str());
  if (name == "escaped") return v.is(Type::string) && v.flag;
  if (name == "filter") return has_filter(v.str());
  return {};
}

}  // namespace moiety
