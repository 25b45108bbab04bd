#include "learn/metrics.h"

#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace moiety {

namespace fs = std::filesystem;

Metrics::Metrics(const fs::path& file, uint64_t bytes) : name_(file.string()), file_(nullptr, &std::fclose), bytes_(bytes) {
  std::error_code error;
  if (fs::exists(file) && fs::file_size(file) > bytes) fs::resize_file(file, bytes, error);
  file_.reset(error ? nullptr : std::fopen(name_.c_str(), "a"));
  if (!file_) throw Error("{}: can't be written: {}", name_, error ? error.message() : std::strerror(errno));
}

void Metrics::write(const std::string& line) {
  if (std::fputs(line.c_str(), file_.get()) < 0 || std::fflush(file_.get()) != 0) throw Error("{}: can't be written: {}", name_, std::strerror(errno));
  bytes_ += line.size();
}

void Metrics::step(uint64_t step, uint64_t tokens, const Numbers& n, std::span<const std::pair<std::string, double>> losses, std::span<const SiteRecord> sites) {
  nlohmann::ordered_json line = {{"step", step}, {"tokens", tokens}, {"loss", n.loss}, {"nll", n.nll}, {"gradient_norm", n.gradient_norm}, {"rate", n.rate}};
  if (!losses.empty()) line["losses"] = std::map<std::string, double>(losses.begin(), losses.end());
  std::map<std::string, std::vector<int64_t>> load;
  int64_t dropped = 0;
  for (const SiteRecord& s : sites) {
    add_load(s, load[s.name]);
    dropped += s.routed.dropped;
  }
  if (!load.empty()) line["load"] = load;
  if (dropped) line["dropped"] = dropped;
  write(line.dump() + "\n");
}

void Metrics::evaluation(uint64_t step, std::span<const DomainResult> domains) {
  nlohmann::ordered_json all;
  for (const DomainResult& d : domains)
    all[d.domain] = {{"bits_per_byte", d.bits_per_byte}, {"nll", d.nll_per_token}, {"bytes", d.bytes}, {"tokens", d.tokens}, {"load", d.load}};
  write(nlohmann::ordered_json{{"step", step}, {"evaluation", all}}.dump() + "\n");
}

}  // namespace moiety
