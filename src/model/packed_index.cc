#include "model/packed_index.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "formats/codec.h"
#include "kernels/panel.h"

namespace moiety {
namespace {

constexpr uint32_t gguf_u64 = 10, gguf_text = 8;
constexpr uint64_t largest_extent = uint64_t{1} << 31, largest_matrix = uint64_t{1} << 42;

std::string key_of(const std::string& name, size_t element) { return fmt::format("{}:{}", name, element); }

std::string key(const char* list) { return fmt::format("moiety.pack.{}", list); }

// A list of the index as it stands in the file: as long as all others.
std::vector<uint64_t> numbers(const Metadata& m, const char* list, size_t count) {
  const auto values = m.integers(key(list));
  if (!values || values->size() != count)
    throw Error("{}: key {} does not hold a number for each of {} parts; the file is damaged", m.origin(), key(list), count);
  return {values->begin(), values->end()};
}

const std::vector<std::string>& texts(const Metadata& m, const char* list) {
  const std::vector<std::string>* values = m.strings(key(list));
  if (!values) throw Error("{}: key {} is missing; the file is damaged", m.origin(), key(list));
  return *values;
}

void check_form(const PackedPart& p, uint64_t order, uint64_t type, const std::string& origin) {
  const TypeInfo* info = type < 1000 ? find_type(static_cast<uint32_t>(type)) : nullptr;
  if (!info) throw Error("{}: part {} is of type {}, which is not known", origin, key_of(p.name, p.element), type);
  if (order > 1) throw Error("{}: part {} is in order {}, which is not known; a newer moiety reads it", origin, key_of(p.name, p.element), order);
  if (order == 1 && !has_panels(info->type))
    throw Error("{}: part {} is in panels, which type {} has not", origin, key_of(p.name, p.element), info->name);
  if (!can_be_packed(info->type)) throw Error("{}: part {} is of type {}, which no weight is of", origin, key_of(p.name, p.element), info->name);
  const bool absurd = p.rows == 0 || p.cols == 0 || p.rows > largest_extent || p.cols > largest_extent || p.rows > largest_matrix / p.cols;
  if (absurd || p.cols % info->block != 0)
    throw Error("{}: part {} has shape [{}, {}], which is none of type {}", origin, key_of(p.name, p.element), p.rows, p.cols, info->name);
}

}  // namespace

bool can_be_packed(TensorType type) {
  const bool integer = type >= TensorType::i8 && type <= TensorType::i64;
  return !integer && static_cast<uint32_t>(type) < 1000 && can_decode(type);
}

uint64_t part_bytes(TensorType type, PartOrder order, uint64_t rows, uint64_t cols) {
  return order == PartOrder::panels ? packed_bytes(type, rows, cols) : bytes_of(type, cols) * rows;
}

void set_packed_index(Metadata& metadata, const std::vector<PackedPart>& parts) {
  auto put_texts = [&](const char* list, auto member) {
    std::vector<std::string> values;
    for (const PackedPart& p : parts) values.push_back(p.*member);
    metadata.set(key(list), MetaArray{gguf_text, std::move(values)});
  };
  auto put_numbers = [&](const char* list, auto member) {
    std::vector<uint64_t> values;
    for (const PackedPart& p : parts) values.push_back(static_cast<uint64_t>(p.*member));
    metadata.set(key(list), MetaArray{gguf_u64, std::move(values)});
  };
  metadata.set(key("version"), packed_version);
  put_texts("names", &PackedPart::name);
  put_numbers("elements", &PackedPart::element);
  put_texts("records", &PackedPart::record);
  put_numbers("types", &PackedPart::type);
  put_numbers("orders", &PackedPart::order);
  put_numbers("rows", &PackedPart::rows);
  put_numbers("cols", &PackedPart::cols);
  put_numbers("offsets", &PackedPart::offset);
  put_numbers("bytes", &PackedPart::bytes);
}

std::optional<PackedIndex> PackedIndex::read(const GgufFile& file) {
  const Metadata& m = file.metadata();
  const auto version = m.integer(key("version"));
  if (!version) return {};
  if (*version != packed_version)
    throw Error("{}: is packed in version {}, this moiety reads version {}; pack the model again", m.origin(), *version, packed_version);
  PackedIndex out;
  out.origin_ = m.origin();
  const std::vector<std::string>& names = texts(m, "names");
  const size_t count = names.size();
  const std::vector<std::string>& records = texts(m, "records");
  if (records.size() != count) throw Error("{}: key moiety.pack.records does not name one for each of {} parts; the file is damaged", m.origin(), count);
  const auto elements = numbers(m, "elements", count), types = numbers(m, "types", count), orders = numbers(m, "orders", count);
  const auto rows = numbers(m, "rows", count), cols = numbers(m, "cols", count), offsets = numbers(m, "offsets", count), bytes = numbers(m, "bytes", count);
  const Tensor* checksums = file.find(packed_checksums);
  if (!checksums || checksums->type != TensorType::i64 || checksums->count() != count)
    throw Error("{}: tensor {} does not hold a number for each of {} parts; the file is damaged", m.origin(), packed_checksums, count);
  for (size_t i = 0; i < count; i++) {
    if (elements[i] >= largest_extent) throw Error("{}: part {} has number {} in its stack; the file is damaged", m.origin(), names[i], elements[i]);
    PackedPart part{names[i], static_cast<uint32_t>(elements[i]), records[i], TensorType::f32, PartOrder::rows, rows[i], cols[i], offsets[i], bytes[i]};
    check_form(part, orders[i], types[i], m.origin());
    part.type = static_cast<TensorType>(types[i]);
    part.order = static_cast<PartOrder>(orders[i]);
    uint64_t checksum;
    std::memcpy(&checksum, checksums->bytes.data() + i * sizeof(checksum), sizeof(checksum));
    out.add(file, std::move(part), checksum);
  }
  out.check_apart();
  out.check_stacks();
  out.records_ = file.tensors().size() - 1;
  out.fingerprint_ = static_cast<uint64_t>(m.integer(key("fingerprint")).value_or(0));
  out.rope_interleaved_ = m.boolean(key("rope_interleaved")).value_or(false);
  out.list(out.by_name_.contains(key_of("output.weight", 0)) && m.boolean(key("tied_output")).value_or(false));
  return out;
}

void PackedIndex::add(const GgufFile& file, PackedPart part, uint64_t checksum) {
  const Tensor* record = file.find(part.record);
  if (!record || part.record == packed_checksums)
    throw Error("{}: part {} lies in tensor {}, which is missing; the file is damaged", origin_, key_of(part.name, part.element), part.record);
  if (reinterpret_cast<uintptr_t>(record->bytes.data()) % packed_record_alignment != 0)  // a mapped file begins at a page
    throw Error("{}: tensor {} does not begin at a multiple of {} bytes; the file is damaged, pack the model again", origin_, part.record, packed_record_alignment);
  const uint64_t bytes = part_bytes(part.type, part.order, part.rows, part.cols), room = record->bytes.size();
  if (part.bytes != bytes)
    throw Error("{}: part {} has {} bytes, {} [{}, {}] takes {}; the file is damaged", origin_, key_of(part.name, part.element), part.bytes,
                type_info(part.type).name, part.rows, part.cols, bytes);
  if (part.offset % packed_part_alignment != 0)
    throw Error("{}: part {} lies at byte {} of its tensor {}, which is no multiple of {}; the file is damaged", origin_, key_of(part.name, part.element),
                part.offset, part.record, packed_part_alignment);
  if (part.offset > room || bytes > room - part.offset)
    throw Error("{}: part {} lies at byte {} with {} bytes, outside its tensor {} of {} bytes; the file is damaged", origin_,
                key_of(part.name, part.element), part.offset, bytes, part.record, room);
  if (!by_name_.emplace(key_of(part.name, part.element), parts_.size()).second)
    throw Error("{}: part {} stands there twice; the file is damaged", origin_, key_of(part.name, part.element));
  const std::byte* data = record->bytes.data() + part.offset;
  parts_.push_back({std::move(part), data, checksum});
}

void PackedIndex::check_apart() const {
  std::vector<const Located*> order;
  for (const Located& l : parts_) order.push_back(&l);
  std::ranges::sort(order, {}, &Located::data);
  for (size_t i = 1; i < order.size(); i++) {
    const Located &before = *order[i - 1], &after = *order[i];
    if (before.data + before.part.bytes > after.data)
      throw Error("{}: parts {} and {} share bytes of tensor {}; the file is damaged", origin_, key_of(before.part.name, before.part.element),
                  key_of(after.part.name, after.part.element), after.part.record);
  }
}

// A stack has its numbers from 0 to the last.
void PackedIndex::check_stacks() const {
  std::unordered_map<std::string_view, size_t> counts;
  for (const Located& l : parts_) counts[l.part.name]++;
  for (const Located& l : parts_) {
    const size_t count = counts[l.part.name];
    if (l.part.element < count) continue;
    size_t missing = 0;
    while (by_name_.contains(key_of(l.part.name, missing))) missing++;
    throw Error("{}: part {} is missing, {} is there; the file is damaged", origin_, key_of(l.part.name, missing), key_of(l.part.name, l.part.element));
  }
}

// A tied output head is the embedding's numbers a second time: no tensor of its own.
void PackedIndex::list(bool tied_output_is_a_copy) {
  for (const Located& l : parts_) {
    const PackedPart& p = l.part;
    if (tied_output_is_a_copy && p.name == "output.weight") continue;
    const bool stack = p.element > 0 || by_name_.contains(key_of(p.name, 1));
    std::vector<uint64_t> shape = {p.rows};
    if (p.cols > 1 || p.order == PartOrder::panels) shape.push_back(p.cols);
    tensors_.push_back({stack ? key_of(p.name, p.element) : p.name, p.type, std::move(shape), {l.data, p.bytes}});
  }
}

std::optional<Matrix> PackedIndex::find(const std::string& name, size_t element, size_t rows, size_t cols, bool check) {
  const auto found = by_name_.find(key_of(name, element));
  if (found == by_name_.end()) return {};
  Located& located = parts_[found->second];
  located.found = true;
  const PackedPart& p = located.part;
  if (p.rows != rows || p.cols != cols)
    throw Error("{}: part {} has shape [{}, {}], but [{}, {}] is expected by the configuration", origin_, found->first, p.rows, p.cols, rows, cols);
  if (check && XXH3_64bits(located.data, p.bytes) != located.checksum)
    throw Error("{}: tensor {}: part {} has another checksum than when it was written; the file is damaged, pack the model again", origin_, p.record,
                found->first);
  Matrix out{p.type, rows, cols, nullptr, 0};
  if (p.order == PartOrder::panels) out.panels = located.data;
  else out.data = located.data, out.row_bytes = bytes_of(p.type, cols);
  return out;
}

void PackedIndex::check_all_found() const {
  for (const Located& l : parts_)
    if (!l.found) throw Error("{}: part {} is none of this model's; the file is damaged, pack the model again", origin_, key_of(l.part.name, l.part.element));
}

}  // namespace moiety
