#include <cstdlib>

#include "base/error.h"
#include "text/template_ast.h"

namespace moiety {
namespace {

using Token = TemplateToken;
using Type = Token::Type;
using Kind = TemplateNode::Kind;

class Parser {
 public:
  Parser(const std::vector<Token>& tokens, const std::string& name) : tokens_(tokens), name_(name) {}

  Node parse() {
    Node root = make(Kind::block);
    root->children = body({});
    return root;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { throw Error("template {}, line {}: {}", name_, now().line, reason); }
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_op(const char* text) const { return now().type == Type::op && now().text == text; }
  bool is_name(const char* text) const { return now().type == Type::name && now().text == text; }
  bool accept_op(const char* text) { return is_op(text) && ++at_; }
  bool accept_name(const char* text) { return is_name(text) && ++at_; }
  void expect_op(const char* text) {
    if (!accept_op(text)) fail(std::string("expected '") + text + "'");
  }
  void expect(Type type, const char* what) {
    if (now().type != type) fail(std::string("expected ") + what);
    at_++;
  }
  std::string expect_name() {
    if (now().type != Type::name) fail("expected a name");
    return tokens_[at_++].text;
  }
  Node make(Kind kind) const {
    auto node = std::make_shared<TemplateNode>();
    node->kind = kind;
    node->line = now().line;
    return node;
  }
  struct Depth {
    explicit Depth(Parser& p) : parser(p) {
      if (++parser.depth_ > 200) parser.fail("nests too deeply");
    }
    ~Depth() { parser.depth_--; }
    Parser& parser;
  };

  // Statements until one of the names that end this body stands behind {%.
  std::vector<Node> body(std::initializer_list<const char*> ends) {
    const Depth depth(*this);
    std::vector<Node> out;
    for (;;) {
      switch (now().type) {
        case Type::end:
          if (ends.size()) fail(std::string("the end of the template; expected {% ") + *std::prev(ends.end()) + " %}");
          return out;
        case Type::text: {
          Node node = make(Kind::text);
          node->text = now().text;
          at_++;
          out.push_back(node);
          break;
        }
        case Type::begin_output: {
          at_++;
          Node node = make(Kind::output);
          node->children = {tuple_or_expression()};
          expect(Type::end_output, "'}}'");
          out.push_back(node);
          break;
        }
        case Type::begin_statement: {
          for (const char* end : ends)
            if (ahead().type == Type::name && ahead().text == end) return out;
          at_++;
          if (Node node = statement()) out.push_back(node);
          break;
        }
        default: fail("unexpected token");
      }
    }
  }

  void end_statement() { expect(Type::end_statement, "'%}'"); }
  void close(const char* name) {
    expect(Type::begin_statement, "'{%'");
    if (!accept_name(name)) fail(std::string("expected ") + name);
  }

  Node statement() {
    const std::string word = expect_name();
    if (word == "if") return condition();
    if (word == "for") return loop();
    if (word == "set") return assign();
    if (word == "macro") return macro();
    if (word == "call") return call_block();
    if (word == "filter") return filter_block();
    if (word == "generation") {  // marks the assistant's text for training; its content counts
      end_statement();
      Node node = make(Kind::block);
      node->children = body({"endgeneration"});
      close("endgeneration");
      end_statement();
      return node;
    }
    if (word != "break" && word != "continue") fail("statement '" + word + "' is not known");
    Node node = make(word == "break" ? Kind::break_loop : Kind::continue_loop);
    end_statement();
    return node;
  }

  Node condition() {
    Node node = make(Kind::condition);
    node->condition = tuple_or_expression();
    end_statement();
    node->children = body({"elif", "else", "endif"});
    expect(Type::begin_statement, "'{%'");
    if (accept_name("elif")) {
      node->otherwise = {condition()};
      return node;
    }
    if (accept_name("else")) {
      end_statement();
      node->otherwise = body({"endif"});
      close("endif");
    } else if (!accept_name("endif")) {
      fail("expected endif");
    }
    end_statement();
    return node;
  }

  std::vector<std::string> targets() {
    std::vector<std::string> out;
    const bool parens = accept_op("(");
    do out.push_back(expect_name());
    while (accept_op(","));
    if (parens) expect_op(")");
    return out;
  }

  Node loop() {
    Node node = make(Kind::loop);
    node->names = targets();
    if (!accept_name("in")) fail("expected 'in'");
    node->target = logic_or();
    if (accept_name("if")) node->condition = expression();
    if (accept_name("recursive")) fail("recursive loops are not known");
    end_statement();
    node->children = body({"else", "endfor"});
    expect(Type::begin_statement, "'{%'");
    if (accept_name("else")) {
      end_statement();
      node->otherwise = body({"endfor"});
      close("endfor");
    } else if (!accept_name("endfor")) {
      fail("expected endfor");
    }
    end_statement();
    return node;
  }

  Node assign() {
    Node node = make(Kind::assign);
    node->names.push_back(expect_name());
    if (accept_op(".")) {
      node->text = expect_name();
    } else {
      while (accept_op(",")) node->names.push_back(expect_name());
    }
    if (accept_op("=")) {
      node->target = tuple_or_expression();
      end_statement();
      return node;
    }
    node->kind = Kind::assign_block;
    node->target = nullptr;
    if (is_op("|")) {
      Node value = make(Kind::name);
      node->target = postfix_filters(value);
    }
    end_statement();
    node->children = body({"endset"});
    close("endset");
    end_statement();
    return node;
  }

  void parameters(Node& node) {
    expect_op("(");
    while (!accept_op(")")) {
      node->names.push_back(expect_name());
      if (accept_op("=")) node->defaults.push_back(expression());
      else if (!node->defaults.empty()) fail("a parameter without default after one with");
      if (!is_op(")")) expect_op(",");
    }
  }

  Node macro() {
    Node node = make(Kind::macro);
    node->text = expect_name();
    parameters(node);
    end_statement();
    node->children = body({"endmacro"});
    close("endmacro");
    if (now().type == Type::name) at_++;
    end_statement();
    return node;
  }

  Node call_block() {
    Node node = make(Kind::call_block);
    if (is_op("(")) parameters(node);
    node->target = expression();
    if (node->target->kind != Kind::call) fail("expected a call");
    end_statement();
    node->children = body({"endcall"});
    close("endcall");
    end_statement();
    return node;
  }

  Node filter_block() {
    Node node = make(Kind::filter_block);
    Node value = make(Kind::name);
    node->target = one_filter(value);
    while (accept_op("|")) node->target = one_filter(node->target);
    end_statement();
    node->children = body({"endfilter"});
    close("endfilter");
    end_statement();
    return node;
  }

  Node tuple_or_expression() {
    Node first = expression();
    if (!is_op(",")) return first;
    Node node = make(Kind::tuple);
    node->children.push_back(first);
    while (accept_op(",")) {
      if (now().type == Type::end_output || now().type == Type::end_statement || is_op(")")) break;
      node->children.push_back(expression());
    }
    return node;
  }

  Node expression() {
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
  Node left_to_right(Kind kind, std::initializer_list<const char*> operators, Node (Parser::*operand)()) {
    Node left = (this->*operand)();
    for (;;) {
      const char* found = nullptr;
      for (const char* op : operators)
        if (!found && (accept_op(op) || accept_name(op))) found = op;
      if (!found) return left;
      left = binary(kind, found, left, (this->*operand)());
    }
  }

  Node binary(Kind kind, const std::string& op, Node left, Node right) {
    Node node = make(kind);
    node->text = op;
    node->children = {std::move(left), std::move(right)};
    return node;
  }

  Node logic_or() { return left_to_right(Kind::logic, {"or"}, &Parser::logic_and); }
  Node logic_and() { return left_to_right(Kind::logic, {"and"}, &Parser::logic_not); }
  Node logic_not() {
    const Depth depth(*this);
    if (accept_name("not")) {
      Node node = make(Kind::unary);
      node->text = "not";
      node->children = {logic_not()};
      return node;
    }
    return compare();
  }

  Node compare() {
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

  Node sum() { return left_to_right(Kind::binary, {"+", "-"}, &Parser::concat); }
  Node product() { return left_to_right(Kind::binary, {"*", "/", "//", "%"}, &Parser::factor); }
  Node factor() { return unary(); }
  Node concat() {
    Node left = product();
    if (!is_op("~")) return left;
    Node node = make(Kind::concat);
    node->children.push_back(left);
    while (accept_op("~")) node->children.push_back(product());
    return node;
  }
  Node unary(bool with_filters = true) {
    const Depth depth(*this);
    if (is_op("-") || is_op("+")) {
      Node node = make(Kind::unary);
      node->text = tokens_[at_++].text;
      node->children = {unary(false)};
      return with_filters ? postfix_filters(node) : node;
    }
    Node value = postfix(primary());
    if (accept_op("**")) value = binary(Kind::binary, "**", value, unary(false));
    return with_filters ? postfix_filters(value) : value;
  }

  Node postfix(Node value) {
    for (;;) {
      if (accept_op(".")) {
        Node node = make(Kind::attribute);
        node->target = value;
        if (now().type == Type::integer) node->text = tokens_[at_++].text;
        else node->text = expect_name();
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

  Node subscript(Node value) {
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

  // Arguments behind a callee, a filter's or a test's name: positional ones, then keywords.
  void arguments(Node& node) {
    expect_op("(");
    while (!accept_op(")")) {
      if (now().type == Type::name && ahead().type == Type::op && ahead().text == "=") {
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

  Node call(Node callee) {
    Node node = make(Kind::call);
    node->target = std::move(callee);
    arguments(node);
    return node;
  }

  Node one_filter(Node value) {
    Node node = make(Kind::filter);
    node->target = std::move(value);
    node->text = expect_name();
    while (accept_op(".")) node->text += "." + expect_name();
    if (is_op("(")) arguments(node);
    return node;
  }

  // Filters and tests bind closest, after attributes and calls.
  Node postfix_filters(Node value) {
    for (;;) {
      if (accept_op("|")) {
        value = one_filter(value);
      } else if (accept_name("is")) {
        Node node = make(Kind::test);
        node->negated = accept_name("not");
        node->target = value;
        node->text = expect_name();
        if (is_op("(")) arguments(node);
        else if (now().type == Type::string || now().type == Type::integer || now().type == Type::floating || is_op("[") || is_op("{") ||
                 (now().type == Type::name && !is_name("else") && !is_name("or") && !is_name("and") && !is_name("is") && !is_name("if") &&
                  !is_name("not") && !is_name("in")))
          node->children = {postfix(primary())};
        value = node;
      } else if (is_op("(")) {
        value = call(value);
      } else {
        return value;
      }
    }
  }

  Node primary() {
    const Token& token = now();
    Node node = make(Kind::name);
    at_++;
    switch (token.type) {
      case Type::string:
        node->kind = Kind::literal_string;
        node->text = token.text;
        while (now().type == Type::string) node->text += tokens_[at_++].text;
        return node;
      case Type::integer: return node->kind = Kind::literal_integer, node->integer = std::strtoll(token.text.c_str(), nullptr, 10), node;
      case Type::floating: return node->kind = Kind::literal_float, node->number = std::strtod(token.text.c_str(), nullptr), node;
      case Type::name:
        if (token.text == "true" || token.text == "True") node->kind = Kind::literal_bool, node->integer = 1;
        else if (token.text == "false" || token.text == "False") node->kind = Kind::literal_bool;
        else if (token.text == "none" || token.text == "None") node->kind = Kind::literal_none;
        node->text = token.text;
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

  const std::vector<Token>& tokens_;
  const std::string& name_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Node parse_template(const std::vector<TemplateToken>& tokens, const std::string& name) { return Parser(tokens, name).parse(); }

}  // namespace moiety
