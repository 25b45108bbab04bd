// Texts as documents: what belongs together, and what is split, shuffled and counted as one.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace moiety {

// A file of documents with a form feed character (U+000C) between them; a file without one is one document.
struct TextFile {
  std::filesystem::path path;
  std::string domain;  // the label of all its documents
};

// The documents of a text, as they stand; empty ones are left out.
std::vector<std::string_view> split_documents(std::string_view text);

// A document's name in splits and fingerprints: equal texts have equal ones, wherever they stand.
uint64_t hash_document(std::string_view text);

}  // namespace moiety
