// RUN/metrics.jsonl: a line for every step and every evaluation.
//
//   {"step", "tokens", "loss", "nll", "gradient_norm", "rate", "losses": {name: value}, "load": {site: [rows by expert]}, "dropped": choices beyond a capacity}
//   {"step", "evaluation": {domain: {"bits_per_byte", "nll", "bytes", "tokens", "load": [[rows by expert] by site]}}}
#pragma once
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "learn/evaluate.h"

namespace moiety {

class Metrics {
 public:
  // Goes on behind the first `bytes` of a file that is there.
  Metrics(const std::filesystem::path& file, uint64_t bytes);

  struct Numbers {
    double loss, nll, gradient_norm, rate;
  };
  void step(uint64_t step, uint64_t tokens, const Numbers& numbers, std::span<const std::pair<std::string, double>> losses, std::span<const SiteRecord> sites);
  void evaluation(uint64_t step, std::span<const DomainResult> domains);
  uint64_t bytes() const { return bytes_; }

 private:
  void write(const std::string& line);

  std::string name_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  uint64_t bytes_;
};

}  // namespace moiety
