#include "formats/codec.h"

#include <array>

#include "base/error.h"
#include "formats/codec_table.h"

namespace moiety {
namespace {

const Codec* find_codec(TensorType type) {
  for (auto rows : {plain_codecs(), legacy_codecs(), k_codecs(), lookup_codecs(), iq_codecs(), ternary_codecs()})
    for (const Codec& codec : rows)
      if (codec.type == type) return &codec;
  return nullptr;
}

}  // namespace

bool can_decode(TensorType type) {
  const Codec* codec = find_codec(type);
  return codec && codec->decode;
}

bool can_encode(TensorType type) {
  const Codec* codec = find_codec(type);
  return codec && codec->encode;
}

void decode(TensorType type, const std::byte* bytes, std::span<float> out) {
  const Codec* codec = find_codec(type);
  if (!codec || !codec->decode) throw Error("tensors of type {} cannot be decoded", type_info(type).name);
  codec->decode(bytes, out.size() / type_info(type).block, out.data());
}

void encode_row(TensorType type, std::span<const float> row, std::span<const float> importance, std::byte* out) {
  const Codec* codec = find_codec(type);
  if (!codec || !codec->encode) throw Error("tensors of type {} cannot be written", type_info(type).name);
  codec->encode(row, importance, out);
}

}  // namespace moiety
