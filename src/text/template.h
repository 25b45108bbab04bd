// Chat templates: the part of Jinja that they use, with the settings that Hugging Face renders them with (trim_blocks, lstrip_blocks,
// loop controls, a sandbox without anything outside the variables).
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace moiety {

struct TemplateNode;

class Template {
 public:
  // `name` stands in messages. An Error names the line.
  static Template parse(std::string_view source, std::string name);
  // Bounded in steps, depth and output: a hostile template ends with an Error.
  std::string render(const nlohmann::ordered_json& variables) const;

 private:
  std::string name_;
  std::shared_ptr<const TemplateNode> root_;
};

}  // namespace moiety
