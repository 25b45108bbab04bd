// The tree of a parsed template, and the tokens that it was parsed from.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moiety {

struct TemplateNode;
using Node = std::shared_ptr<TemplateNode>;

// One kind of node for statements and expressions alike; which fields count depends on the kind.
struct TemplateNode {
  enum class Kind {
    // statements
    block, text, output, loop, condition, assign, assign_block, macro, call_block, filter_block, break_loop, continue_loop,
    // expressions
    literal_string, literal_integer, literal_float, literal_bool, literal_none, list, tuple, dict, name, attribute, index, slice, call, filter,
    test, unary, binary, compare, logic, conditional, concat,
  };
  Kind kind;
  int line = 0;
  std::string text;                 // text, name, operator, attribute, filter's or test's name
  double number = 0;
  long long integer = 0;
  std::vector<Node> children;       // operands, elements, arguments, body
  std::vector<Node> otherwise;      // else branch
  std::vector<std::string> names;   // loop targets, macro parameters, names of keyword arguments (for the last children)
  std::vector<Node> defaults;       // macro defaults, for the last names
  Node target, condition, extra;    // loop iterable and filter; callee; slice parts by `children`
  bool negated = false;
};

struct TemplateToken {
  enum class Type { text, name, string, integer, floating, op, begin_output, end_output, begin_statement, end_statement, end };
  Type type;
  std::string text;
  int line;
};

// Cuts a source; whitespace control is applied. Throws Error with line.
std::vector<TemplateToken> lex_template(std::string_view source, const std::string& name);
Node parse_template(const std::vector<TemplateToken>& tokens, const std::string& name);

}  // namespace moiety
