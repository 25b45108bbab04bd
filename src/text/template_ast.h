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
    block, text, output, loop, condition, assign, assign_block, with, macro, call_block, filter_block, break_loop, continue_loop,
    // expressions
    literal_string, literal_integer, literal_float, literal_bool, literal_none, list, tuple, dict, name, attribute, index, slice, call, filter,
    test, unary, binary, compare, logic, conditional, concat, spread,
  };
  Kind kind;
  int line = 0;
  std::string text;                 // text, name, operator, attribute, filter's or test's name
  double number = 0;
  long long integer = 0;
  std::vector<Node> children;       // operands, elements, arguments, body
  std::vector<Node> otherwise;      // else branch
  std::vector<std::string> names;   // macro parameters, names of keyword arguments (for the last children; * and ** for spreads)
  std::vector<Node> defaults;       // macro defaults, for the last names; values of `with`
  Node target;                      // what a loop or an assignment fills; callee; what is filtered, tested, indexed
  Node condition;                   // of `if` and of a loop's items
  Node extra;                       // a loop's items, an assignment's value or, of a block, its filters
  bool negated = false;             // test
  bool recursive = false;           // loop
  bool uses_loop = false;           // loop: its body speaks of `loop`
  bool by_index = false;            // attribute: x.0
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
