#include "text/template_parser.h"

#include <utility>

#include "base/error.h"

namespace moiety {

void TemplateParser::fail(const std::string& reason) const { throw Error("template {}, line {}: {}", name_, now().line, reason); }

void TemplateParser::expect_op(const char* text) {
  if (!accept_op(text)) fail(std::string("expected '") + text + "'");
}

void TemplateParser::expect(Type type, const char* what) {
  if (now().type != type) fail(std::string("expected ") + what);
  at_++;
}

std::string TemplateParser::expect_name() {
  if (now().type != Type::name) fail("expected a name");
  return tokens_[at_++].text;
}

Node TemplateParser::make(Kind kind) const {
  auto node = std::make_shared<TemplateNode>();
  node->kind = kind;
  node->line = now().line;
  return node;
}

Node TemplateParser::parse() {
  Node root = make(Kind::block);
  root->children = body({});
  return root;
}

// Statements until one of the names that end this body stands behind {%.
std::vector<Node> TemplateParser::body(std::initializer_list<const char*> ends) {
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
        out.push_back(statement());
        break;
      }
      default: fail("unexpected token");
    }
  }
}

// The rest of a statement whose only end is {% end %}.
std::vector<Node> TemplateParser::closed_body(const char* end) {
  end_statement();
  std::vector<Node> out = body({end});
  close(end);
  end_statement();
  return out;
}

void TemplateParser::close(const char* name) {
  expect(Type::begin_statement, "'{%'");
  if (!accept_name(name)) fail(std::string("expected ") + name);
}

Node TemplateParser::statement() {
  const std::string word = expect_name();
  if (word == "if") return condition();
  if (word == "for") return loop();
  if (word == "set") return assign();
  if (word == "with") return with();
  if (word == "macro") return macro();
  if (word == "call") return call_block();
  if (word == "filter") return filter_block();
  if (word == "generation") {  // marks the assistant's text for training; its content counts
    Node node = make(Kind::with);
    node->children = closed_body("endgeneration");
    return node;
  }
  if (word != "break" && word != "continue") fail("statement '" + word + "' is not known");
  if (loops_ == 0) fail("'" + word + "' outside of a loop");
  Node node = make(word == "break" ? Kind::break_loop : Kind::continue_loop);
  end_statement();
  return node;
}

Node TemplateParser::condition() {
  const Depth depth(*this);
  Node node = make(Kind::condition);
  node->condition = tuple_or(&TemplateParser::logic_or);
  end_statement();
  node->children = body({"elif", "else", "endif"});
  expect(Type::begin_statement, "'{%'");
  if (accept_name("elif")) {
    node->otherwise = {condition()};
    return node;
  }
  if (accept_name("else")) {
    node->otherwise = closed_body("endif");
    return node;
  }
  if (!accept_name("endif")) fail("expected endif");
  end_statement();
  return node;
}

// What a loop or an assignment fills: a name, or names within names.
Node TemplateParser::target() {
  const Depth depth(*this);
  auto one = [&] {
    if (!accept_op("(")) {
      Node node = make(Kind::name);
      node->text = expect_name();
      return node;
    }
    Node inner = target();
    expect_op(")");
    return inner;
  };
  Node first = one();
  if (!is_op(",")) return first;
  Node node = make(Kind::tuple);
  node->children = {first};
  while (accept_op(",")) {
    if (now().type != Type::name && !is_op("(")) break;
    if (is_name("in")) break;
    node->children.push_back(one());
  }
  return node;
}

Node TemplateParser::loop() {
  Node node = make(Kind::loop);
  node->target = target();
  if (!accept_name("in")) fail("expected 'in'");
  node->extra = tuple_or(&TemplateParser::logic_or);
  if (accept_name("if")) node->condition = expression();
  node->recursive = accept_name("recursive");
  end_statement();
  loops_++;
  const int names_before = loop_names_;
  node->children = body({"else", "endfor"});
  node->uses_loop = loop_names_ > names_before;
  loops_--;
  expect(Type::begin_statement, "'{%'");
  if (accept_name("else")) {
    node->otherwise = closed_body("endfor");
    return node;
  }
  if (!accept_name("endfor")) fail("expected endfor");
  end_statement();
  return node;
}

Node TemplateParser::assign() {
  Node node = make(Kind::assign);
  if (now().type == Type::name && ahead().type == Type::op && ahead().text == ".") {
    node->target = make(Kind::name);
    node->target->text = expect_name();
    expect_op(".");
    node->text = expect_name();
  } else {
    node->target = target();
  }
  if (accept_op("=")) {
    node->extra = tuple_or_expression();
    end_statement();
    return node;
  }
  node->kind = Kind::assign_block;
  if (is_op("|")) node->extra = postfix_filters(make(Kind::name));
  node->children = closed_body("endset");
  return node;
}

// {% with a = 1, b = 2 %}: values see the names around it, not each other.
Node TemplateParser::with() {
  Node node = make(Kind::with);
  while (now().type != Type::end_statement) {
    node->names.push_back(expect_name());
    expect_op("=");
    node->defaults.push_back(expression());
    if (now().type != Type::end_statement) expect_op(",");
  }
  node->children = closed_body("endwith");
  return node;
}

void TemplateParser::parameters(Node& node) {
  expect_op("(");
  while (!accept_op(")")) {
    node->names.push_back(expect_name());
    if (accept_op("=")) node->defaults.push_back(expression());
    else if (!node->defaults.empty()) fail("a parameter without default after one with");
    if (!is_op(")")) expect_op(",");
  }
}

Node TemplateParser::macro() {
  Node node = make(Kind::macro);
  node->text = expect_name();
  parameters(node);
  end_statement();
  const int around = std::exchange(loops_, 0);
  node->children = body({"endmacro"});
  loops_ = around;
  close("endmacro");
  if (now().type == Type::name) at_++;
  end_statement();
  return node;
}

Node TemplateParser::call_block() {
  Node node = make(Kind::call_block);
  node->text = "caller";
  if (is_op("(")) parameters(node);
  node->target = expression();
  if (node->target->kind != Kind::call) fail("expected a call");
  const int around = std::exchange(loops_, 0);
  node->children = closed_body("endcall");
  loops_ = around;
  return node;
}

Node TemplateParser::filter_block() {
  Node node = make(Kind::filter_block);
  node->target = one_filter(make(Kind::name));
  while (accept_op("|")) node->target = one_filter(node->target);
  node->children = closed_body("endfilter");
  return node;
}

Node parse_template(const std::vector<TemplateToken>& tokens, const std::string& name) { return TemplateParser(tokens, name).parse(); }

}  // namespace moiety
