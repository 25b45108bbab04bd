// A model written in kernel order: a packed file, which is mapped and computed with as it is (docs/format.md).
#pragma once
#include <filesystem>
#include <functional>

#include "base/progress.h"
#include "formats/metadata.h"
#include "model/checkpoint.h"

namespace moiety {

struct PackOptions {
  size_t threads = 0;  // 0: default_thread_count()
  OnProgress reading = {};  // in bytes of the source, where it has to be decoded first
  OnProgress writing = {};  // in bytes of the new file
  std::function<void(Metadata&)> edit_metadata = {};  // of a Hugging Face source: tokenizer and whatever else joins the keys
};

struct PackReport {
  size_t records = 0, parts = 0, parts_in_rows = 0;  // the last: what has no kernel order
  uint64_t bytes = 0;              // of the file
  std::vector<std::string> notes;  // what of the source was skipped
};

// Looks at every number on the way: NaN and infinity are an Error. Nothing half-written is left.
PackReport pack_file(const Checkpoint& in, const std::filesystem::path& out, const PackOptions& options);

}  // namespace moiety
