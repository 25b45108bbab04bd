// Arithmetic of templates, as Python does it.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/error.h"
#include "text/template_value.h"

namespace moiety {

using V = TemplateValue;
using Type = V::Type;
using Call = TemplateCall;

namespace {

V repeat(const V& a, const V& b) {
  const V& what = a.is_number() ? b : a;
  const V& times = a.is_number() ? a : b;
  if (!times.is_number() || times.is(Type::floating)) throw Error("can't multiply sequence by non-int");
  const long long count = std::max(0LL, times.as_integer());
  const size_t size = what.is(Type::string) ? what.text.size() : what.items->size();
  if (size > 0 && count > template_max_items / static_cast<long long>(size) * 10) throw Error("writes too much");
  if (what.is(Type::string)) {
    std::string out;
    for (long long i = 0; i < count && size; i++) out += what.text;
    return V::of(out);
  }
  Values out;
  for (long long i = 0; i < count && size; i++) out.insert(out.end(), what.items->begin(), what.items->end());
  return V::list(out, what.flag);
}

}  // namespace

V calculate(const std::string& op, const V& a, const V& b) {
  if (a.is(Type::undefined)) throw Error("'{}' is undefined", a.text);
  if (b.is(Type::undefined)) throw Error("'{}' is undefined", b.text);
  if (op == "+" && a.is(Type::string) && b.is(Type::string)) {
    if (a.text.size() + b.text.size() > template_max_output) throw Error("writes too much");
    return V::of(a.text + b.text);
  }
  if (op == "+" && a.is(Type::list) && b.is(Type::list)) {
    Values items = *a.items;
    items.insert(items.end(), b.items->begin(), b.items->end());
    if (items.size() > static_cast<size_t>(template_max_items)) throw Error("makes too long a list");
    return V::list(items, a.flag);
  }
  if (op == "%" && a.is(Type::string)) {
    Call given;
    given.positional.push_back(b);
    return *call_method(a, "%", given);
  }
  if (op == "*" && (a.is(Type::string) || b.is(Type::string) || a.is(Type::list) || b.is(Type::list))) return repeat(a, b);
  if (!a.is_number() || !b.is_number())
    throw Error("unsupported operand type(s) for {}: '{}' and '{}'", op, a.type_name(), b.type_name());
  const bool real = a.is(Type::floating) || b.is(Type::floating);
  const double x = a.as_number(), y = b.as_number();
  if ((op == "/" || op == "//" || op == "%") && y == 0) throw Error("division by zero");
  if (op == "/") return V::of(x / y);
  if (op == "**") {
    const double power = std::pow(x, y);
    return real || y < 0 || std::abs(power) > 9e15 ? V::of(power) : V::of(static_cast<long long>(std::llround(power)));
  }
  if (real) return V::of(op == "+" ? x + y : op == "-" ? x - y : op == "*" ? x * y : op == "//" ? std::floor(x / y) : x - std::floor(x / y) * y);
  const long long i = a.as_integer(), j = b.as_integer();
  long long out = 0;
  if (op == "+" ? __builtin_add_overflow(i, j, &out) : op == "-" ? __builtin_sub_overflow(i, j, &out) : op == "*" && __builtin_mul_overflow(i, j, &out))
    throw Error("a number beyond 64 bits");
  if (op == "//" || op == "%") {
    if (j == -1) return V::of(op == "%" ? 0LL : i == INT64_MIN ? INT64_MAX : -i);
    const long long quotient = i / j - ((i % j != 0) && ((i < 0) != (j < 0)));
    out = op == "//" ? quotient : i - quotient * j;
  }
  return V::of(out);
}

}  // namespace moiety
