// For tests/python: the pre-tokenizers of the table. Without arguments, their names and regular expressions as JSON; with a name, how it cuts
// each text of the JSON list on stdin.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "text/pretokenizer.h"

int main(int argc, char** argv) {
  using nlohmann::json;
  using namespace moiety;
  json out;
  if (argc < 2) {
    for (const std::string_view name : pretokenizer_names()) out[std::string(name)] = *pretokenizer_regexes(name);
  } else {
    std::vector<PreTokenizerStep> steps;
    for (const std::string& regex : *pretokenizer_regexes(argv[1])) steps.push_back(PreTokenizerStep::split(regex));
    for (const json& text : json::parse(std::cin)) {
      const Pieces pieces = pre_tokenize(steps, text.get<std::string>(), true);
      json list = json::array();
      for (size_t i = 0; i < pieces.spans.size(); i++) list.push_back(pieces[i]);
      out.push_back(list);
    }
  }
  std::puts(out.dump().c_str());
}
