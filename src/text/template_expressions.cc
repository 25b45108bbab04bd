#include <cerrno>
#include <cstdlib>

#include "base/error.h"
#include "text/template_parser.h"

namespace moiety {

Node TemplateParser::tuple_or(Node (TemplateParser::*element)()) {
  Node first = (this->*element)();
  if (!is_op(",")) return first;
  Node node = make(Kind::tuple);
  node->children.push_back(first);
  while (accept_op(",")) {
    if (now().type == Type::end_output || now().type == Type::end_statement || is_op(")")) break;
    node->children.push_back((this->*element)());
  }
  return node;
}

Node TemplateParser::expression() {
  const Depth depth(*this);
  Node value = logic_or();
  while (accept_name("if")) {
    Node node = make(Kind::conditional);
    node->condition = logic_or();
    node->children = {value};
    if (accept_name("else")) node->otherwise = {expression()};
    value = node;
  }
  return value;
}

// Operators of one precedence, grouped from the left.
Node TemplateParser::left_to_right(Kind kind, std::initializer_list<const char*> operators, Node (TemplateParser::*operand)()) {
  Node left = (this->*operand)();
  for (int length = 0;; length++) {
    const char* found = nullptr;
    for (const char* op : operators)
      if (!found && (accept_op(op) || accept_name(op))) found = op;
    if (!found) return left;
    // The tree is as deep as the chain is long, and whoever walks it has a stack.
    if (length > 200) fail(std::string("more than 200 times '") + found + "' in a row; use parentheses or a loop");
    left = binary(kind, found, left, (this->*operand)());
  }
}

Node TemplateParser::binary(Kind kind, const std::string& op, Node left, Node right) const {
  Node node = make(kind);
  node->text = op;
  node->children = {std::move(left), std::move(right)};
  return node;
}

Node TemplateParser::logic_not() {
  const Depth depth(*this);
  if (!accept_name("not")) return compare();
  Node node = make(Kind::unary);
  node->text = "not";
  node->children = {logic_not()};
  return node;
}

Node TemplateParser::compare() {
  Node node = make(Kind::compare);
  node->children.push_back(sum());
  for (;;) {
    std::string op;
    for (const char* known : {"==", "!=", "<=", ">=", "<", ">"})
      if (op.empty() && accept_op(known)) op = known;
    if (op.empty() && accept_name("in")) op = "in";
    if (op.empty() && is_name("not") && ahead().type == Type::name && ahead().text == "in") at_ += 2, op = "not in";
    if (op.empty()) break;
    node->names.push_back(op);
    node->children.push_back(sum());
  }
  return node->names.empty() ? node->children[0] : node;
}

Node TemplateParser::concat() {
  Node left = product();
  if (!is_op("~")) return left;
  Node node = make(Kind::concat);
  node->children.push_back(left);
  while (accept_op("~")) node->children.push_back(product());
  return node;
}

Node TemplateParser::unary(bool with_filters) {
  const Depth depth(*this);
  Node value;
  if (is_op("-") || is_op("+")) {
    value = make(Kind::unary);
    value->text = tokens_[at_++].text;
    value->children = {unary(false)};
  } else {
    value = primary();
  }
  value = postfix(value);
  return with_filters ? postfix_filters(value) : value;
}

Node TemplateParser::postfix(Node value) {
  for (int length = 0;; length++) {
    if (length > 200) fail("more than 200 attributes, indices and calls in a row");
    if (accept_op(".")) {
      Node node = make(Kind::attribute);
      node->target = value;
      node->by_index = now().type == Type::integer;
      node->text = node->by_index ? tokens_[at_++].text : expect_name();
      value = node;
    } else if (accept_op("[")) {
      value = subscript(value);
      expect_op("]");
    } else if (is_op("(")) {
      value = call(value);
    } else {
      return value;
    }
  }
}

Node TemplateParser::subscript(Node value) {
  Node node = make(Kind::slice);
  node->target = value;
  std::vector<Node> parts(3);
  size_t part = 0;
  bool slice = false;
  while (!is_op("]")) {
    if (accept_op(":")) {
      slice = true;
      if (++part > 2) fail("a slice of more than three parts");
    } else {
      parts[part] = tuple_or_expression();
      if (!is_op(":") && !is_op("]")) fail("expected ']'");
    }
  }
  if (slice) {
    node->children = parts;
    return node;
  }
  if (!parts[0]) fail("expected an index");
  node->kind = Kind::index;
  node->children = {parts[0]};
  return node;
}

// Arguments behind a callee, a filter's or a test's name: positional ones, *list, keywords, **dict.
void TemplateParser::arguments(Node& node) {
  expect_op("(");
  while (!accept_op(")")) {
    if (is_op("*") || is_op("**")) {
      Node spread = make(Kind::spread);
      spread->text = tokens_[at_++].text;
      spread->target = expression();
      node->names.push_back(spread->text);
      node->children.push_back(spread);
    } else if (now().type == Type::name && ahead().type == Type::op && ahead().text == "=") {
      node->names.push_back(expect_name());
      expect_op("=");
      node->children.push_back(expression());
    } else {
      if (!node->names.empty()) fail("a positional argument after a keyword");
      node->children.push_back(expression());
    }
    if (!is_op(")")) expect_op(",");
  }
}

Node TemplateParser::call(Node callee) {
  Node node = make(Kind::call);
  node->target = std::move(callee);
  arguments(node);
  return node;
}

Node TemplateParser::one_filter(Node value) {
  Node node = make(Kind::filter);
  node->target = std::move(value);
  node->text = expect_name();
  while (accept_op(".")) node->text += "." + expect_name();
  if (is_op("(")) arguments(node);
  return node;
}

Node TemplateParser::one_test(Node value) {
  Node node = make(Kind::test);
  node->negated = accept_name("not");
  node->target = std::move(value);
  node->text = expect_name();
  if (is_name("is")) fail("You cannot chain multiple tests with is");
  const bool ends = is_name("else") || is_name("or") || is_name("and");
  const bool operand = now().type == Type::string || now().type == Type::integer || now().type == Type::floating || is_op("[") || is_op("{") ||
                       (now().type == Type::name && !ends);
  if (is_op("(")) arguments(node);
  else if (operand) node->children = {postfix(primary())};
  return node;
}

// Filters and tests bind closest, after attributes and calls.
Node TemplateParser::postfix_filters(Node value) {
  for (int length = 0;; length++) {
    if (length > 200) fail("more than 200 filters and tests in a row");
    if (accept_op("|")) value = one_filter(value);
    else if (accept_name("is")) value = one_test(value);
    else if (is_op("(")) value = call(value);
    else return value;
  }
}

Node TemplateParser::primary() {
  const Token& token = now();
  Node node = make(Kind::name);
  at_++;
  switch (token.type) {
    case Type::string:
      node->kind = Kind::literal_string;
      node->text = token.text;
      while (now().type == Type::string) node->text += tokens_[at_++].text;
      return node;
    case Type::integer:
      errno = 0;
      node->kind = Kind::literal_integer;
      node->integer = std::strtoll(token.text.c_str(), nullptr, 10);
      if (errno == ERANGE) fail("a number beyond 64 bits");
      return node;
    case Type::floating: return node->kind = Kind::literal_float, node->number = std::strtod(token.text.c_str(), nullptr), node;
    case Type::name:
      if (token.text == "true" || token.text == "True") node->kind = Kind::literal_bool, node->integer = 1;
      else if (token.text == "false" || token.text == "False") node->kind = Kind::literal_bool;
      else if (token.text == "none" || token.text == "None") node->kind = Kind::literal_none;
      node->text = token.text;
      loop_names_ += token.text == "loop";
      return node;
    case Type::op:
      if (token.text == "(") {
        if (accept_op(")")) return node->kind = Kind::tuple, node;
        Node value = tuple_or_expression();
        return expect_op(")"), value;
      }
      if (token.text == "[") {
        node->kind = Kind::list;
        while (!accept_op("]")) {
          node->children.push_back(expression());
          if (!is_op("]")) expect_op(",");
        }
        return node;
      }
      if (token.text == "{") {
        node->kind = Kind::dict;
        while (!accept_op("}")) {
          node->children.push_back(expression());
          expect_op(":");
          node->children.push_back(expression());
          if (!is_op("}")) expect_op(",");
        }
        return node;
      }
      [[fallthrough]];
    default: at_--; fail("expected an expression");
  }
}

}  // namespace moiety
