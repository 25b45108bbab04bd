// moiety logits: logits of every position, as .npy files.
#include "apps/verbs.h"
#include "base/file.h"
#include "base/unfinished.h"
#include "engine/token_progress.h"
#include "formats/npy.h"

namespace moiety {
namespace {

// The directory of the results; if the work fails or is ended, one that was made for them goes again.
class Destination {
 public:
  explicit Destination(const std::filesystem::path& path) : path_(path), made_(std::filesystem::create_directories(path)) {
    if (made_) remember_unfinished(path_.string());
  }
  ~Destination() {
    std::error_code ignored;
    forget_unfinished(path_.string());
    if (made_) std::filesystem::remove(path_, ignored);  // does nothing to one that holds files
  }
  Destination(const Destination&) = delete;

 private:
  std::filesystem::path path_;
  bool made_;
};

}  // namespace

void add_logits(Commands& commands) {
  struct Options : ModelOptions {
    std::string ids, file, out;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("logits", "logits of every position of given token ids");
  add_model_options(*verb, *o);
  auto* ids = verb->add_option("--tokens", o->ids, "token ids: 1,2,3 (default: those of --tokens-file)");
  auto* file = verb->add_option("--tokens-file", o->file, "JSON file with a list of id lists (default: none)");
  ids->excludes(file);
  verb->add_option("--out", o->out, "directory for logits-N.npy, float32 [tokens, vocab]")->required();
  verb->footer("Example: moiety logits model.gguf --tokens 1,2,3 --out logits");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      if (o->ids.empty() == o->file.empty()) throw UsageError("give --tokens or --tokens-file");
      const std::vector<std::vector<int32_t>> lists = o->ids.empty() ? read_id_lists(o->file) : std::vector<std::vector<int32_t>>{parse_ids(o->ids)};
      Session session(open_model(*o, commands.quiet), session_options(*o));
      uint64_t tokens = 0;
      for (const auto& ids : lists) session.check(ids), tokens += ids.size();
      const Destination directory(o->out);
      // All files or none: each is written to its end before the first gets its name.
      std::vector<std::unique_ptr<AtomicFile>> files;
      const TokenProgress computed({&session}, tokens, show_progress("computing", "tokens", commands.quiet));
      for (size_t i = 0; i < lists.size(); i++) {
        const uint32_t s = session.add_sequence("", o->seed);
        const Append append{s, lists[i], WantLogits::all};
        AtomicFile& file = *files.emplace_back(std::make_unique<AtomicFile>(std::filesystem::path(o->out) / fmt::format("logits-{}.npy", i)));
        file.write(npy_header("<f4", std::vector<uint64_t>{lists[i].size(), session.model().config.vocab}));
        session.evaluate({&append, 1}, nullptr, [&](size_t, std::span<const float> row) { file.write(std::as_bytes(row)); });
        session.remove_sequence(s);
        file.close();
      }
      for (const auto& file : files) file->commit();
      return 0;
    };
  });
}

}  // namespace moiety
