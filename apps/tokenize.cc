// moiety tokenize: text to ids and back.
#include <cstdio>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/standard_input.h"
#include "apps/verbs.h"
#include "base/file.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace moiety {
namespace {

// A token's bytes as a text that JSON can hold: bytes that are no UTF-8 as <0xNN>.
std::string shown(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const size_t n = utf8_length(bytes.substr(i));
    if (n) out += bytes.substr(i, n);
    else out += fmt::format("<0x{:02X}>", static_cast<unsigned char>(bytes[i]));
    i += n ? n : 1;
  }
  return out;
}

}  // namespace

void add_tokenize(Commands& commands) {
  struct Options {
    std::string model, text, file, ids;
    bool no_special = false, plain = false, json = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("tokenize", "text to token ids, and back");
  verb->add_option("MODEL", o->model, "a GGUF file, a directory with tokenizer.json or tokenizer.model, or such a file")->required();
  verb->add_option("TEXT", o->text, "the text; - reads stdin");
  verb->add_option("--file", o->file, "a file with the text (default: TEXT)");
  verb->add_option("--decode", o->ids, "token ids 1,2,3 to turn into text (default: none)");
  verb->add_flag("--no-special", o->no_special, "adds no BOS or EOS; special tokens written in the text still count");
  verb->add_flag("--plain", o->plain, "special tokens written in the text are ordinary text");
  verb->add_flag("--json", o->json, "one JSON document on stdout");
  verb->footer("Example: moiety tokenize model.gguf \"Hello, world\"");
  verb->callback([o, &commands, verb] {
    commands.chosen = [o, verb] {
      const bool decode = verb->count("--decode") > 0;
      if (verb->count("TEXT") + verb->count("--file") + decode != 1) throw UsageError("give either a text, --file or --decode");
      const auto tokenizer = load_tokenizer(find_model(o->model));
      if (decode) {
        const std::string text = tokenizer->decode(parse_ids(o->ids));
        if (o->json) fmt::print("{}\n", nlohmann::json{{"text", shown(text)}}.dump());
        else fmt::print("{}\n", text);
        return 0;
      }
      const std::string text = !o->file.empty() ? read_text_file(o->file) : o->text == "-" ? read_all_input() : o->text;
      const std::vector<int32_t> ids = tokenizer->encode(text, {.add_special = !o->no_special, .parse_special = !o->plain});
      if (!o->json) {
        fmt::print("{}\n", fmt::join(ids, " "));
        return 0;
      }
      nlohmann::json pieces = nlohmann::json::array();
      for (int32_t id : ids) pieces.push_back(shown(tokenizer->bytes_of(id)));
      fmt::print("{}\n", nlohmann::json{{"ids", ids}, {"pieces", pieces}}.dump());
      return 0;
    };
  });
}

}  // namespace moiety
