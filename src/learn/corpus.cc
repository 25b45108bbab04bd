#include "learn/corpus.h"

#include <map>

#include "base/error.h"
#include "base/progress.h"
#include "data/tokenize.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_of(const Table& t, std::string_view key, const fs::path& folder) {
  std::vector<fs::path> out;
  for (const std::string& name : t.texts(key)) {
    const fs::path path = folder / name;
    if (!fs::is_regular_file(path)) t.wrong(key, fmt::format("there is no file {}", path.string()));
    out.push_back(path);
  }
  if (out.empty()) t.wrong(key, "it names no file");
  return out;
}

}  // namespace

CorpusPlan CorpusPlan::read(const Table& t, const fs::path& folder, const fs::path& tokenizer) {
  CorpusPlan out;
  out.tokenizer = !tokenizer.empty() && !t.has("tokenizer") ? tokenizer : folder / t.text("tokenizer");
  if (!fs::exists(out.tokenizer)) t.wrong("tokenizer", fmt::format("there is no file {}", out.tokenizer.string()));
  out.validation = t.number("validation", 0.02);
  if (out.validation < 0 || out.validation >= 1) t.wrong("validation", "a share in [0, 1) is expected");
  out.evaluation_bytes = t.count("evaluation_bytes", 100000);
  if (t.has("cache")) out.cache = folder / t.text("cache");
  for (const Table& s : t.tables("source")) {
    CorpusPlan::Source source{files_of(s, "files", folder), {}, s.text("domain"), s.number("weight", 1)};
    if (s.has("held_out")) source.held_out = files_of(s, "held_out", folder);
    if (source.weight <= 0) s.wrong("weight", "it must be above 0");
    out.sources.push_back(std::move(source));
  }
  if (out.sources.empty()) t.wrong("source", "at least one [[data.source]] is needed");
  return out;
}

Corpus Corpus::open(const CorpusPlan& plan, const DataTokenizer& tokenizer, const fs::path& cache, size_t context, uint64_t seed, size_t threads, bool quiet) {
  fs::create_directories(cache);
  const auto tokenised = [&](const std::vector<fs::path>& files, const std::string& domain, const std::string& name) {
    std::vector<TextFile> texts;
    for (const fs::path& f : files) texts.push_back({f, domain});
    return std::make_shared<const TokenFile>(
        tokenize_files(texts, tokenizer, cache / (name + ".tokens"), {.threads = threads, .progress = show_progress("tokenising " + domain, "bytes", quiet)}));
  };
  Corpus out;
  std::vector<MixtureSource> sources;
  for (size_t i = 0; i < plan.sources.size(); i++) {
    const CorpusPlan::Source& s = plan.sources[i];
    const std::string name = fmt::format("{}-{}", i, s.domain);
    const auto text = tokenised(s.files, s.domain, name);
    const Split split{s.held_out.empty() ? plan.validation : 0, 0};
    sources.push_back({name, s.domain, TokenStream(text, documents_of(*text, 0, DocumentPart::training, split)), s.weight});
    const auto held = s.held_out.empty() ? text : tokenised(s.held_out, s.domain, name + "-held-out");
    const std::vector<uint32_t> documents = documents_of(*held, 0, s.held_out.empty() ? DocumentPart::validation : DocumentPart::training, split);
    const std::vector<uint32_t> sample = sample_documents(*held, documents, plan.evaluation_bytes);
    if (!sample.empty()) out.held_out.push_back({s.domain, EvaluationWindows(TokenStream(held, sample), context, context / 4)});
  }
  out.mixture = std::make_unique<Mixture>(std::move(sources), context, seed);
  return out;
}

std::vector<uint64_t> Corpus::token_counts(size_t vocabulary) const {
  constexpr size_t block = 1 << 16;
  std::vector<double> shares(vocabulary);
  std::vector<int32_t> ids(block);
  for (const MixtureSource& source : mixture->sources()) {
    std::vector<uint64_t> counts(vocabulary);
    for (uint64_t at = 0; at < source.stream.size(); at += block) {
      const std::span<int32_t> some(ids.data(), std::min<uint64_t>(block, source.stream.size() - at));
      source.stream.read(at, some);
      for (int32_t id : some) counts[static_cast<size_t>(id)]++;
    }
    for (size_t id = 0; id < vocabulary; id++) shares[id] += source.weight * static_cast<double>(counts[id]) / static_cast<double>(source.stream.size());
  }
  std::vector<uint64_t> out(vocabulary);
  for (size_t id = 0; id < vocabulary; id++) out[id] = static_cast<uint64_t>(shares[id] * 0x1p40);
  return out;
}

}  // namespace moiety
