// Arithmetic of templates, as Python does it.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/error.h"
#include "text/template_value.h"

namespace moiety {

using V = TemplateValue;
using Type = V::Type;

namespace {

V repeat(const V& a, const V& b) {
  const V& what = a.is_number() ? b : a;
  const V& times = a.is_number() ? a : b;
  if (!times.is_number() || times.is(Type::floating)) throw Error("can't multiply sequence by non-int");
  const long long count = std::max(0LL, times.as_integer());
  const size_t size = what.is(Type::string) ? what.text.size() : what.items->size();
  const size_t most = what.is(Type::string) ? template_max_output : static_cast<size_t>(template_max_items);
  if (size > 0 && static_cast<size_t>(count) > most / size) throw Error("repeats {} times what is {} long: too much", count, size);
  if (what.is(Type::string)) {
    std::string out;
    for (long long i = 0; i < count && size; i++) out += what.text;
    return V::of(out, what.flag);
  }
  Values out;
  for (long long i = 0; i < count && size; i++) out.insert(out.end(), what.items->begin(), what.items->end());
  return V::list(out, what.flag);
}

// Markup takes the other text in as HTML shows it.
V add_texts(const V& a, const V& b) {
  if (a.text.size() + b.text.size() > template_max_output) throw Error("writes too much");
  if (a.flag == b.flag) return V::of(a.text + b.text, a.flag);
  return V::of(a.flag ? a.text + escape_html(b.text) : escape_html(a.text) + b.text, true);
}

V add_lists(const V& a, const V& b) {
  if (a.items->size() + b.items->size() > static_cast<size_t>(template_max_items)) throw Error("makes a list of more than {} items", template_max_items);
  Values items = *a.items;
  items.insert(items.end(), b.items->begin(), b.items->end());
  return V::list(items, a.flag);
}

// Python's float floor division and remainder: the remainder has the divisor's sign.
V divide_floats(const std::string& op, double x, double y) {
  double remainder = std::fmod(x, y), quotient = (x - remainder) / y;
  if (remainder == 0) remainder = std::copysign(0.0, y);
  else if ((remainder < 0) != (y < 0)) remainder += y, quotient -= 1;
  if (op == "%") return V::of(remainder);
  const double down = std::floor(quotient);
  return V::of(quotient == 0 ? std::copysign(0.0, x / y) : quotient - down > 0.5 ? down + 1 : down);
}

long long power(long long base, long long exponent) {
  long long out = 1;
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 ? -1 : 1;
  for (; exponent > 0; exponent--)
    if (__builtin_mul_overflow(out, base, &out)) throw Error("a number beyond 64 bits");
  return out;
}

V calculate_integers(const std::string& op, long long i, long long j) {
  long long out = 0;
  if (op == "+" ? __builtin_add_overflow(i, j, &out) : op == "-" ? __builtin_sub_overflow(i, j, &out) : op == "*" && __builtin_mul_overflow(i, j, &out))
    throw Error("a number beyond 64 bits");
  if (op == "**") return V::of(power(i, j));
  if (op != "//" && op != "%") return V::of(out);
  if (j == -1) return op == "%" ? V::of(0LL) : negate("-", V::of(i));
  const long long quotient = i / j - ((i % j != 0) && ((i < 0) != (j < 0)));
  return V::of(op == "//" ? quotient : i - quotient * j);
}

}  // namespace

V negate(const std::string& op, const V& v) {
  if (v.is(Type::undefined)) throw Error("'{}' is undefined", v.text);
  if (!v.is_number()) throw Error("bad operand type for unary {}: '{}'", op, v.type_name());
  if (op == "+") return v.is(Type::floating) ? v : V::of(v.as_integer());
  if (v.is(Type::floating)) return V::of(-v.number);
  if (v.as_integer() == INT64_MIN) throw Error("a number beyond 64 bits");
  return V::of(-v.as_integer());
}

V calculate(const std::string& op, const V& a, const V& b) {
  if (op == "%" && a.is(Type::string)) {
    Values values = b.is(Type::list) && b.flag ? *b.items : Values(1, b);
    if (a.flag)
      for (V& v : values)
        if (v.is(Type::string) && !v.flag) v = V::of(escape_html(v.text), true);
    return V::of(percent_format(a.text, values), a.flag);
  }
  if (a.is(Type::undefined)) throw Error("'{}' is undefined", a.text);
  if (b.is(Type::undefined)) throw Error("'{}' is undefined", b.text);
  if (op == "+" && a.is(Type::string) && b.is(Type::string)) return add_texts(a, b);
  if (op == "+" && a.is(Type::list) && b.is(Type::list) && a.flag == b.flag) return add_lists(a, b);
  const auto repeats = [](const V& x, const V& y) { return (x.is(Type::string) || x.is(Type::list)) && y.is_number(); };
  if (op == "*" && (repeats(a, b) || repeats(b, a))) return repeat(a, b);
  if (!a.is_number() || !b.is_number()) throw Error("unsupported operand type(s) for {}: '{}' and '{}'", op, a.type_name(), b.type_name());
  const double x = a.as_number(), y = b.as_number();
  if ((op == "/" || op == "//" || op == "%") && y == 0) throw Error("division by zero");
  if (op == "**" && x == 0 && y < 0) throw Error("0.0 cannot be raised to a negative power");
  if (op == "/") return V::of(x / y);
  const bool real = a.is(Type::floating) || b.is(Type::floating);
  if (op == "**" && (real || y < 0)) return V::of(std::pow(x, y));
  if (!real) return calculate_integers(op, a.as_integer(), b.as_integer());
  if (op == "//" || op == "%") return divide_floats(op, x, y);
  return V::of(op == "+" ? x + y : op == "-" ? x - y : x * y);
}

}  // namespace moiety
