// moiety bench: prompt speed and generation speed.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/verbs.h"
#include "base/interrupt.h"
#include "observe/load.h"

namespace moiety {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Options : ModelOptions {
  size_t prompt = 512, generate = 64, batch = 1, depth = 0, repeats = 5;
};

// Token ids of ordinary text: not the special ones, which tokenizers put at the ends of the vocabulary.
std::vector<int32_t> random_ids(size_t n, uint32_t vocab, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::vector<int32_t> out(n);
  for (int32_t& id : out) id = static_cast<int32_t>(vocab / 10 + rng() % std::max<uint32_t>(1, vocab / 2));
  return out;
}

struct Sequences {
  std::vector<uint32_t> ids;
  Sequences(Session& session, const Options& o, LoadCounter* load) : session(session) {
    for (size_t b = 0; b < o.batch; b++) {
      ids.push_back(session.add_sequence());
      if (!o.depth) continue;
      const std::vector<int32_t> before = random_ids(o.depth, session.model().config.vocab, 100 + b);
      const Append append{ids.back(), before, WantLogits::none};
      session.evaluate({&append, 1}, load);
    }
  }
  ~Sequences() {
    for (uint32_t s : ids) session.remove_sequence(s);
  }
  Session& session;
};

double run_once(Session& session, const Options& o, bool generate, size_t round, LoadCounter* load) {
  Sequences sequences(session, o, load);
  const uint32_t vocab = session.model().config.vocab;
  std::vector<std::vector<int32_t>> texts;
  for (size_t b = 0; b < o.batch; b++) texts.push_back(random_ids(generate ? o.generate : o.prompt, vocab, 1000 * round + b));
  const Clock::time_point begin = Clock::now();
  for (size_t t = 0; t < (generate ? o.generate : 1); t++) {
    throw_if_interrupted();
    std::vector<Append> appends;
    for (size_t b = 0; b < o.batch; b++)
      appends.push_back({sequences.ids[b], generate ? std::span(texts[b]).subspan(t, 1) : std::span<const int32_t>(texts[b]), WantLogits::last});
    session.evaluate(appends, load);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return static_cast<double>(o.batch * (generate ? o.generate : o.prompt)) / seconds;
}

}  // namespace

void add_bench(Commands& commands) {
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("bench", "prompt speed (pp) and generation speed (tg) on random ordinary token ids");
  add_model_options(*verb, *o);
  verb->add_option("-p,--prompt", o->prompt, "prompt tokens; 0 leaves the test out (default 512)");
  verb->add_option("-n,--generate", o->generate, "generated tokens; 0 leaves the test out (default 64)");
  verb->add_option("-b,--batch", o->batch, "sequences at once (default 1)")->check(CLI::Range(1, 4096));
  verb->add_option("-d,--depth", o->depth, "tokens before the measured ones (default 0)");
  verb->add_option("-r,--repeats", o->repeats, "repetitions (default 5)")->check(CLI::Range(1, 1000));
  verb->footer("Example: moiety bench model.gguf -p 512 -n 64 -r 5");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      const auto model = open_model(*o, commands.quiet);
      SessionOptions options = session_options(*o);
      options.context = static_cast<uint32_t>(std::max(o->prompt, o->generate) + o->depth + 1);
      options.threads = options.threads ? options.threads : default_thread_count();
      Session session(model, options);
      json out = json::array();
      LoadCounter load;
      for (bool generate : {false, true}) {
        if ((generate ? o->generate : o->prompt) == 0) continue;
        std::vector<double> speeds;
        for (size_t r = 0; r < o->repeats; r++) speeds.push_back(run_once(session, *o, generate, r, &load));
        std::ranges::sort(speeds);
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        // The machine's limits are measured once kernels are fast enough for the fraction to say something.
        out.push_back({{"test", fmt::format("{}{}", generate ? "tg" : "pp", generate ? o->generate : o->prompt)}, {"batch", o->batch}, {"depth", o->depth},
                       {"tokens_per_s", {{"median", speeds[speeds.size() / 2]}, {"min", speeds.front()}, {"max", speeds.back()}}},
                       {"runs", o->repeats}, {"threads", options.threads}, {"active_bytes_per_token", nullptr}, {"read_gb_per_s", nullptr},
                       {"bandwidth_gb_per_s", nullptr}, {"bandwidth_fraction", nullptr}, {"gmac_per_s", nullptr}, {"peak_gmac_per_s", nullptr},
                       {"peak_fraction", nullptr}, {"peak_rss_bytes", static_cast<uint64_t>(usage.ru_maxrss) * 1024}});
        const json& t = out.back();
        if (!o->json)
          fmt::print("{:<8} {:>9.2f} tokens/s  ({:.2f} to {:.2f}, {} runs, {} threads)\n", t["test"].get<std::string>(), speeds[speeds.size() / 2], speeds.front(),
                     speeds.back(), o->repeats, options.threads);
      }
      if (o->json) fmt::print("{}\n", out.dump(2));
      for (const auto& site : load.sites()) {
        std::vector<uint64_t> counts = site.counts;
        std::ranges::sort(counts, std::greater());
        uint64_t quarter = 0, all = 0;
        for (size_t e = 0; e < counts.size(); e++) all += counts[e], quarter += e < (counts.size() + 3) / 4 ? counts[e] : 0;
        if (all > 0 && quarter * 10 > all * 9 && counts.size() >= 8 && !commands.quiet) {
          std::fprintf(stderr, "layer %u: a quarter of the experts takes %.0f%% of the work; routing has collapsed, and speeds are not those of a trained model\n",
                       site.layer, 100.0 * static_cast<double>(quarter) / static_cast<double>(all));
          break;
        }
      }
      return 0;
    };
  });
}

}  // namespace moiety
