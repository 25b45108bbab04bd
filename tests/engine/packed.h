// A model read with or without kernel order, and what it computes, on either way through its experts.
#pragma once
#include "tests/engine/fixture.h"

namespace moiety {

struct Watcher : Observer {  // makes experts run one by one
  bool watches_experts() const override { return true; }
};

inline std::shared_ptr<const Model> load(const std::filesystem::path& path, bool pack) {
  LoadOptions options;
  options.pack = pack;
  return load_model(path, options);
}

// The logits of all positions.
inline std::vector<float> run(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& ids, size_t threads, size_t chunk, Observer* observer = nullptr) {
  SessionOptions options = exact();
  options.threads = threads, options.chunk = chunk;
  Session session(model, options);
  const Append append{session.add_sequence(), ids, WantLogits::all};
  return session.evaluate({&append, 1}, observer)[0];
}

}  // namespace moiety
