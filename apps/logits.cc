// moiety logits: logits of every position, as .npy files.
#include "apps/verbs.h"
#include "base/interrupt.h"
#include "formats/npy.h"

namespace moiety {

void add_logits(Commands& commands) {
  struct Options : ModelOptions {
    std::string ids, file, out;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("logits", "logits of every position of given token ids");
  add_model_options(*verb, *o);
  auto* ids = verb->add_option("--tokens", o->ids, "token ids: 1,2,3");
  auto* file = verb->add_option("--tokens-file", o->file, "JSON file with a list of id lists");
  ids->excludes(file);
  verb->add_option("--out", o->out, "directory for logits-N.npy, float32 [tokens, vocab]")->required();
  verb->footer("Example: moiety logits model.gguf --tokens 1,2,3 --out logits");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      if (o->ids.empty() == o->file.empty()) throw UsageError("give --tokens or --tokens-file");
      const std::vector<std::vector<int32_t>> lists = o->ids.empty() ? read_id_lists(o->file) : std::vector<std::vector<int32_t>>{parse_ids(o->ids)};
      Session session(open_model(*o, commands.quiet), session_options(*o));
      for (const auto& ids : lists) session.check(ids);
      std::filesystem::create_directories(o->out);
      std::vector<std::filesystem::path> written;
      try {
        for (const auto& ids : lists) {
          throw_if_interrupted();
          const uint32_t s = session.add_sequence("", o->seed);
          const Append append{s, ids, WantLogits::all};
          NpyArray array{{ids.size(), session.model().config.vocab}, session.evaluate({&append, 1})[0]};
          written.push_back(std::filesystem::path(o->out) / fmt::format("logits-{}.npy", written.size()));
          write_npy(written.back(), array);
          session.remove_sequence(s);
        }
      } catch (...) {  // all of the lists or none
        for (const auto& path : written) std::filesystem::remove(path);
        throw;
      }
      return 0;
    };
  });
}

}  // namespace moiety
