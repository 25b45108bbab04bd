// A saved session of any bytes, whose fingerprint and checksum are made right so that the rest is read: refused with an Error, or the
// sequence goes on by a token. Its first byte chooses the model: attention, latent attention, a delta net, short convolutions.
#include <xxhash.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "engine/session.h"
#include "fuzz/input.h"
#include "model/load.h"

namespace {

struct Saved {
  std::shared_ptr<const moiety::Model> model;
  std::string head;  // magic, fingerprint, cache type
};

moiety::SessionOptions options() {
  moiety::SessionOptions out;
  out.threads = 1;
  out.cache_type = moiety::TensorType::f32;
  out.context = 64;
  return out;
}

Saved saved(const char* fixture) {
  Saved out;
  out.model = moiety::load_model(std::filesystem::path(MOIETY_SOURCE_DIR "/tests/fixtures") / fixture);
  moiety::Session session(out.model, options());
  const auto path = std::filesystem::temp_directory_path() / (std::string("moiety-fuzz-") + fixture);
  session.save(session.add_sequence(), path);
  out.head = moiety::read_text_file(path).substr(0, 24);
  std::filesystem::remove(path);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Saved models[] = {saved("mixtral"), saved("deepseek_v3"), saved("qwen3_next"), saved("lfm2_moe")};
  if (size == 0) return 0;
  const Saved& saved = models[data[0] % std::size(models)];
  std::string file = saved.head + std::string(moiety::as_text(data + 1, size - 1));
  const uint64_t sum = XXH3_64bits(file.data(), file.size());
  file.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  return moiety::refuses_with_error([&] {
    moiety::Session session(saved.model, options());
    const int32_t id = 5;
    const moiety::Append append{session.restore(std::as_bytes(std::span(file)), "fuzz"), {&id, 1}, moiety::WantLogits::last};
    session.evaluate({&append, 1});
  });
}
