// Reads JSON lines {"template": …, "variables": …} on stdin; writes {"text": …} or {"error": …} for each.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "text/template.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto job = nlohmann::ordered_json::parse(line);
    nlohmann::ordered_json out;
    try {
      out["text"] = moiety::Template::parse(job["template"].get<std::string>(), "test").render(job["variables"]);
    } catch (const moiety::Error& e) {
      out["error"] = e.what();
    }
    std::cout << out.dump() << std::endl;
  }
}
