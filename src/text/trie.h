// Keys by their bytes: one walk finds every key that a text begins with.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moiety {

class Trie {
 public:
  static constexpr uint32_t root = 0, none = UINT32_MAX;

  // Values are not negative. Of equal keys the first stays; empty keys are no keys.
  explicit Trie(std::vector<std::pair<std::string, int32_t>> keys = {});

  // The node behind `byte`, or none.
  uint32_t step(uint32_t node, unsigned char byte) const {
    const Node& n = nodes_[node];
    const void* found = n.count ? std::memchr(labels_.data() + n.first, byte, n.count) : nullptr;
    return found ? static_cast<uint32_t>(static_cast<const unsigned char*>(found) - labels_.data()) : none;
  }
  int32_t value(uint32_t node) const { return nodes_[node].value; }  // -1: no key ends here

  // Calls found(bytes, value) for each key that `text` begins with behind `node`, shortest first.
  template <class Found>
  void prefixes(std::string_view text, const Found& found, uint32_t node = root) const {
    for (size_t i = 0; i < text.size() && (node = step(node, static_cast<unsigned char>(text[i]))) != none; i++)
      if (nodes_[node].value >= 0) found(i + 1, nodes_[node].value);
  }

 private:
  struct Node {
    uint32_t first = 0;  // of its children, which follow each other
    uint32_t count = 0;
    int32_t value = -1;
  };
  std::vector<Node> nodes_;
  std::vector<unsigned char> labels_;  // [nodes] the byte that leads to each
};

}  // namespace moiety
