// The index of a packed file of any bytes: read, with every part inside the file, or refused with an Error.
#include <xxhash.h>

#include <cstring>
#include <memory>
#include <new>

#include "fuzz/input.h"
#include "model/packed_index.h"

namespace {

constexpr std::align_val_t page{moiety::packed_record_alignment};

// Begins at a page, as a mapped file does, and ends with the last byte, so that a read past it is seen.
struct AtPage {
  void operator()(std::byte* bytes) const { ::operator delete(bytes, page); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::unique_ptr<std::byte, AtPage> bytes(static_cast<std::byte*>(::operator new(size, page)));
  std::memcpy(bytes.get(), data, size);
  return moiety::refuses_with_error([&] {
    const moiety::GgufFile file = moiety::GgufFile::parse({bytes.get(), size}, "fuzz");
    auto index = moiety::PackedIndex::read(file);
    if (!index) return;
    for (const moiety::Tensor& t : index->tensors()) {
      const volatile XXH64_hash_t all_bytes_are_read = XXH3_64bits(t.bytes.data(), t.bytes.size());
      static_cast<void>(all_bytes_are_read);
      const uint64_t rows = t.shape.at(0), cols = t.shape.size() > 1 ? t.shape[1] : 1;
      index->find(t.name.substr(0, t.name.find(':')), 0, rows, cols, false);
    }
    index->check_all_found();
  });
}
