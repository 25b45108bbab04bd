// Tiny checkpoints of real families with what Transformers computes from them: those of the repository, and those that lie beside it.
#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/session.h"
#include "formats/npy.h"
#include "model/load.h"

namespace moiety {

struct Fixture {
  std::filesystem::path path;
  friend void PrintTo(const Fixture& fixture, std::ostream* out) { *out << fixture.name(); }
  std::string name() const { return path.parent_path().parent_path().filename().string() + "/" + path.filename().string(); }
  nlohmann::json read(const char* file) const { return nlohmann::json::parse(read_text_file(path / file)); }
  std::vector<std::vector<int32_t>> tokens() const { return read("tokens.json").get<std::vector<std::vector<int32_t>>>(); }
  std::vector<float> logits(size_t sequence) const {
    return std::get<std::vector<float>>(read_npy(path / ("logits-" + std::to_string(sequence) + ".npy")).values);
  }
};

inline std::vector<Fixture> all_fixtures() {
  std::vector<Fixture> out;
  for (const char* folder : {MOIETY_SOURCE_DIR "/tests/fixtures", MOIETY_SHARED_DIR "/fixtures"}) {
    const std::filesystem::path root = std::filesystem::path(folder).lexically_normal();
    if (!std::filesystem::is_directory(root)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root))
      if (std::filesystem::exists(entry.path() / "tokens.json")) out.push_back({entry.path()});
  }
  std::ranges::sort(out, {}, [](const Fixture& f) { return f.path; });
  return out;
}

// max |a - b| / max |b|; NaN gives NaN, which passes no comparison.
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 1e30;
  double largest = 0, difference = 0;
  for (size_t i = 0; i < a.size(); i++) {
    if (!(std::abs(a[i]) < 1e30f)) return NAN;
    largest = std::max<double>(largest, std::abs(b[i]));
    difference = std::max<double>(difference, std::abs(double(a[i]) - b[i]));
  }
  return difference / largest;
}

// The reference arithmetic: an f32 cache.
inline SessionOptions exact() {
  SessionOptions options;
  options.threads = 2;
  options.cache_type = TensorType::f32;
  options.context = 4096;
  return options;
}

}  // namespace moiety
