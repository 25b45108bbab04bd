// Recursive descent over the tokens of a template, as Jinja's own parser goes: statements in template_parser.cc, expressions in
// template_expressions.cc.
#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "text/template_ast.h"

namespace moiety {

class TemplateParser {
 public:
  TemplateParser(const std::vector<TemplateToken>& tokens, const std::string& name) : tokens_(tokens), name_(name) {}
  Node parse();

 private:
  using Token = TemplateToken;
  using Type = TemplateToken::Type;
  using Kind = TemplateNode::Kind;
  struct Depth {
    explicit Depth(TemplateParser& p) : parser(p) {
      if (++parser.depth_ > 100) parser.fail("nests too deeply");
    }
    ~Depth() { parser.depth_--; }
    TemplateParser& parser;
  };

  [[noreturn]] void fail(const std::string& reason) const;
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_op(const char* text) const { return now().type == Type::op && now().text == text; }
  bool is_name(const char* text) const { return now().type == Type::name && now().text == text; }
  bool accept_op(const char* text) { return is_op(text) && ++at_; }
  bool accept_name(const char* text) { return is_name(text) && ++at_; }
  void expect_op(const char* text);
  void expect(Type type, const char* what);
  std::string expect_name();
  Node make(Kind kind) const;

  std::vector<Node> body(std::initializer_list<const char*> ends);
  std::vector<Node> closed_body(const char* end);
  void end_statement() { expect(Type::end_statement, "'%}'"); }
  void close(const char* name);
  Node statement();
  Node condition();
  Node loop();
  Node assign();
  Node with();
  Node macro();
  Node call_block();
  Node filter_block();
  Node target();
  void parameters(Node& node);

  Node tuple_or(Node (TemplateParser::*element)());
  Node tuple_or_expression() { return tuple_or(&TemplateParser::expression); }
  Node expression();
  Node left_to_right(Kind kind, std::initializer_list<const char*> operators, Node (TemplateParser::*operand)());
  Node binary(Kind kind, const std::string& op, Node left, Node right) const;
  Node logic_or() { return left_to_right(Kind::logic, {"or"}, &TemplateParser::logic_and); }
  Node logic_and() { return left_to_right(Kind::logic, {"and"}, &TemplateParser::logic_not); }
  Node logic_not();
  Node compare();
  Node sum() { return left_to_right(Kind::binary, {"+", "-"}, &TemplateParser::concat); }
  Node concat();
  Node product() { return left_to_right(Kind::binary, {"*", "/", "//", "%"}, &TemplateParser::power); }
  Node power() { return left_to_right(Kind::binary, {"**"}, &TemplateParser::factor); }
  Node factor() { return unary(true); }
  Node unary(bool with_filters);
  Node postfix(Node value);
  Node subscript(Node value);
  void arguments(Node& node);
  Node call(Node callee);
  Node one_filter(Node value);
  Node one_test(Node value);
  Node postfix_filters(Node value);
  Node primary();

  const std::vector<Token>& tokens_;
  const std::string& name_;
  size_t at_ = 0;
  int depth_ = 0, loops_ = 0, loop_names_ = 0;
};

}  // namespace moiety
