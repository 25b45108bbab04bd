// The data of a run as its description names them: files by domain, their share of the windows, what is held back for evaluation.
//
//   [data]
//   tokenizer = "tokenizer.json"
//   validation = 0.02                     # of the documents, by a hash of their text
//   cache = "tokens"                      # where the tokenised text goes; runs that follow each other may share it
//   [[data.source]]
//   files = ["english/train.txt"]         # relative to the configuration; documents end with a form feed
//   domain = "english"
//   weight = 3
//   held_out = ["english/validation.txt"] # instead of a share of `files`
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/data_tokenizer.h"
#include "data/documents.h"
#include "data/evaluation_windows.h"
#include "data/mixture.h"
#include "learn/description.h"

namespace moiety {

// What the table says, checked as far as that goes without reading texts.
struct CorpusPlan {
  struct Source {
    std::vector<std::filesystem::path> files, held_out;
    std::string domain;
    double weight;
  };
  std::filesystem::path tokenizer;
  std::filesystem::path cache;  // of tokenised text, which runs may share; empty: the run's own
  std::vector<Source> sources;
  double validation = 0;
  uint64_t evaluation_bytes = 0;  // of each domain, at most

  // `tokenizer`: where the table names none; empty: it has to.
  static CorpusPlan read(const Table& table, const std::filesystem::path& folder, const std::filesystem::path& tokenizer);
};

struct Corpus {
  struct Domain {
    std::string name;
    EvaluationWindows windows;
  };
  std::unique_ptr<Mixture> mixture;
  std::vector<Domain> held_out;

  // How often each token of the vocabulary stands in the training text, as the sources' weights mix it; in units of their own.
  std::vector<uint64_t> token_counts(size_t vocabulary) const;

  // Tokenises what is not tokenised yet, into `cache`.
  static Corpus open(const CorpusPlan& plan, const DataTokenizer& tokenizer, const std::filesystem::path& cache, size_t context, uint64_t seed, size_t threads, bool quiet);
};

}  // namespace moiety
