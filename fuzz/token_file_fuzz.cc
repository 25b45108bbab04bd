// A token file of any bytes, whose checksum is made right so that the rest is read: refused with an Error, or every window inside the file.
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "data/evaluation_windows.h"
#include "data/mixture.h"
#include "fuzz/input.h"

namespace {

constexpr size_t context = 3;

void read_all(const std::shared_ptr<const moiety::TokenFile>& file, size_t domain) {
  for (const auto part : {moiety::DocumentPart::training, moiety::DocumentPart::validation}) {
    const moiety::TokenStream stream(file, documents_of(*file, domain, part, {0.5, 1}));
    if (stream.size() < context + 1) continue;
    moiety::Mixture mixture({{"fuzz", file->domains()[domain], stream, 1}}, context, 1);
    std::vector<int32_t> inputs(context + 1), targets(context);
    for (const moiety::TrainingWindow& w : mixture.next(0, 64)) mixture.read(w, inputs);
    const moiety::EvaluationWindows windows(stream, context, 1);
    uint64_t bytes = 0;
    for (size_t i = 0; i < windows.size(); i++) {
      windows.read(i, std::span(inputs).first(context), targets);
      bytes += windows[i].bytes;
    }
    if (bytes != windows.bytes()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint64_t sum = XXH3_64bits(data, size);
  std::vector<std::byte> bytes(size + sizeof(sum));
  if (size) std::memcpy(bytes.data(), data, size);
  std::memcpy(bytes.data() + size, &sum, sizeof(sum));
  return moiety::refuses_with_error([&] {
    const auto file = std::make_shared<const moiety::TokenFile>(moiety::TokenFile::parse(bytes, "fuzz"));
    for (size_t domain = 0; domain < std::min<size_t>(file->domains().size(), 4); domain++) read_all(file, domain);
  });
}
