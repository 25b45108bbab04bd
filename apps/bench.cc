// moiety bench: prompt speed and generation speed.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/verbs.h"
#include "base/memory.h"
#include "base/random.h"
#include "engine/token_progress.h"
#include "kernels/limits.h"
#include "kernels/panel.h"
#include "observe/load.h"
#include "observe/work.h"
#include "text/tokenizer.h"

namespace moiety {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Options : ModelOptions {
  size_t prompt = 512, generate = 64, batch = 1, depth = 0, repeats = 5;
};

// Ids of ordinary text: neither special nor unused ones. A model without a tokenizer has none of either.
class OrdinaryIds {
 public:
  explicit OrdinaryIds(const Model& model) {
    std::shared_ptr<const Tokenizer> tokenizer;
    try {
      tokenizer = load_tokenizer(model.path);
    } catch (const Error&) {
    }
    for (int32_t id = 0; id < static_cast<int32_t>(model.config.vocab); id++) {
      const bool ordinary = !tokenizer || (static_cast<size_t>(id) < tokenizer->size() && !tokenizer->is_special(id) && !tokenizer->bytes_of(id).empty());
      if (ordinary) ids_.push_back(id);
    }
    if (ids_.empty()) throw Error("{}: the tokenizer has no ordinary tokens", model.path.string());
  }
  std::vector<int32_t> draw(size_t n, uint64_t seed) const {
    std::vector<int32_t> out(n);
    for (size_t i = 0; i < n; i++) out[i] = ids_[static_cast<size_t>(uniform(seed, i, RandomStream::sampling) * static_cast<double>(ids_.size()))];
    return out;
  }

 private:
  std::vector<int32_t> ids_;
};

struct Sequences {
  std::vector<uint32_t> ids;
  Sequences(Session& session, const Options& o, const OrdinaryIds& text) : session(session) {
    for (size_t b = 0; b < o.batch; b++) {
      ids.push_back(session.add_sequence());
      if (!o.depth) continue;
      const std::vector<int32_t> before = text.draw(o.depth, o.seed + (b << 32));
      const Append append{ids.back(), before, WantLogits::none};
      session.evaluate({&append, 1});
    }
  }
  ~Sequences() {
    for (uint32_t s : ids) session.remove_sequence(s);
  }
  Session& session;
};

struct Run {
  double tokens_per_s = 0, read_gb_per_s = 0, gmac_per_s = 0, active_bytes = 0;
};

Run run_once(Session& session, const Options& o, const OrdinaryIds& text, bool generate, size_t round, LoadCounter& load) {
  Sequences sequences(session, o, text);
  std::vector<std::vector<int32_t>> texts;
  for (size_t b = 0; b < o.batch; b++) texts.push_back(text.draw(generate ? o.generate : o.prompt, o.seed + (b << 32) + round + 1));
  WorkCounter work(session.model(), load);
  const Clock::time_point begin = Clock::now();
  for (size_t t = 0; t < (generate ? o.generate : 1); t++) {
    std::vector<Append> appends;
    for (size_t b = 0; b < o.batch; b++)
      appends.push_back({sequences.ids[b], generate ? std::span(texts[b]).subspan(t, 1) : std::span<const int32_t>(texts[b]), WantLogits::last});
    session.evaluate(appends, &work, [](size_t, std::span<const float>) {});  // the peers hand out logits where they lie, too
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double tokens = static_cast<double>(o.batch * (generate ? o.generate : o.prompt));
  return {tokens / seconds, work.bytes_read() / seconds / 1e9, work.macs() / seconds / 1e9, work.active_bytes() / tokens};
}

std::string test_name(const Options& o, bool generate) { return generate ? fmt::format("tg{}", o.generate) : fmt::format("pp{}", o.prompt); }

std::vector<Run> measure(Session& session, const Options& o, const OrdinaryIds& text, bool generate, LoadCounter& load, bool quiet) {
  Options warm_up = o;  // as bench/engine_speed.py does for the peers
  warm_up.prompt = std::min<size_t>(o.prompt, 16), warm_up.generate = std::min<size_t>(o.generate, 4), warm_up.depth = 0;
  const auto of_a_run = [&](const Options& some) { return some.batch * (some.depth + (generate ? some.generate : some.prompt)); };
  const TokenProgress computed({&session}, of_a_run(warm_up) + o.repeats * of_a_run(o), show_progress(test_name(o, generate), "tokens", quiet));
  LoadCounter unused;
  for (const Site* site : session.model().sites) {  // what experts do at their first use isn't measured
    std::vector<uint32_t> all(site->bank->size());
    std::iota(all.begin(), all.end(), 0);
    site->bank->hint(all, 1);
  }
  run_once(session, warm_up, text, generate, o.repeats, unused);  // pages come in
  std::vector<Run> runs;
  for (size_t r = 0; r < o.repeats; r++) runs.push_back(run_once(session, o, text, generate, r, load));
  return runs;
}

json spread(std::vector<Run>& runs) {
  std::ranges::sort(runs, {}, &Run::tokens_per_s);
  const size_t n = runs.size();
  return {{"median", (runs[(n - 1) / 2].tokens_per_s + runs[n / 2].tokens_per_s) / 2}, {"min", runs.front().tokens_per_s}, {"max", runs.back().tokens_per_s}};
}

// Whether most of the work is products of bytes: quantised weights in kernel order.
bool has_byte_products(const Model& model) {
  const Matrix* some = &model.output.weight;
  std::unique_ptr<Lease> lease;
  if (!model.sites.empty()) {
    const uint32_t first = 0;
    lease = model.sites[0]->bank->lease({&first, 1});
    lease->wait_any();
    if (const Matrix* gate = lease->view(0).find(PartRole::gate)) some = gate;
  } else if (model.blocks[0].ffn) {
    some = &model.blocks[0].ffn.down.weight;
  }
  return some->panels && panel_format(some->type);
}

void warn_if_collapsed(const LoadCounter& load) {
  for (const auto& site : load.sites()) {
    std::vector<uint64_t> counts = site.counts;
    std::ranges::sort(counts, std::greater());
    uint64_t quarter = 0, all = 0;
    for (size_t e = 0; e < counts.size(); e++) all += counts[e], quarter += e < (counts.size() + 3) / 4 ? counts[e] : 0;
    // A few tokens use few experts however even routing is.
    if (all < 4 * counts.size() || quarter * 10 <= all * 9 || counts.size() < 8) continue;
    return (void)std::fprintf(stderr, "layer %u: a quarter of the experts takes %.0f%% of the work; routing has collapsed, and speeds are not those of a trained model\n",
                              site.layer, 100.0 * static_cast<double>(quarter) / static_cast<double>(all));
  }
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
      o->sequences = o->batch;
      o->context = static_cast<uint32_t>(std::max(o->prompt, o->generate) + o->depth + 1);
      const auto model = open_model(*o, commands.quiet);
      SessionOptions options = session_options(*o);
      options.threads = options.threads ? options.threads : default_thread_count();
      Session session(model, options);
      const OrdinaryIds text(*model);
      json out = json::array();
      LoadCounter load;
      Workers workers(options.threads);
      uint64_t peak_rss = 0;
      for (bool generate : {false, true}) {
        if ((generate ? o->generate : o->prompt) == 0) continue;
        std::vector<Run> runs = measure(session, *o, text, generate, load, commands.quiet);
        const json speed = spread(runs);
        const Run& middle = runs[runs.size() / 2];
        // Beside each run, since a virtual machine's memory is now faster, now slower. What the probe takes is no part of the model's.
        peak_rss = std::max(peak_rss, peak_memory_bytes());
        const MachineLimits limits = measure_limits(workers);
        reset_peak_memory();
        const double peak = has_byte_products(*model) ? limits.byte_gmac_per_s : limits.float_gmac_per_s;
        const double bandwidth_fraction = middle.read_gb_per_s / limits.read_gb_per_s, peak_fraction = middle.gmac_per_s / peak;
        out.push_back({{"test", test_name(*o, generate)}, {"batch", o->batch}, {"depth", o->depth},
                       {"tokens_per_s", speed}, {"runs", o->repeats}, {"threads", options.threads},
                       {"active_bytes_per_token", static_cast<uint64_t>(middle.active_bytes)}, {"read_gb_per_s", middle.read_gb_per_s},
                       {"bandwidth_gb_per_s", limits.read_gb_per_s}, {"bandwidth_fraction", bandwidth_fraction}, {"gmac_per_s", middle.gmac_per_s},
                       {"peak_gmac_per_s", peak}, {"peak_fraction", peak_fraction}, {"peak_rss_bytes", peak_rss}});
        if (!o->json) {
          const std::string limit = bandwidth_fraction > peak_fraction ? fmt::format("{:3.0f}% of {:.1f} GB/s read", 100 * bandwidth_fraction, limits.read_gb_per_s)
                                                                       : fmt::format("{:3.0f}% of {:.0f} GMAC/s", 100 * peak_fraction, peak);
          fmt::print("{:<8} {:<24} {:>9.2f} tokens/s  ({:.2f} to {:.2f}, {} runs, {} threads)\n", out.back()["test"].get<std::string>(), limit,
                     speed["median"].get<double>(), speed["min"].get<double>(), speed["max"].get<double>(), o->repeats, options.threads);
        }
      }
      if (o->json) fmt::print("{}\n", out.dump(2));
      if (!commands.quiet) warn_if_collapsed(load);
      return 0;
    };
  });
}

}  // namespace moiety
