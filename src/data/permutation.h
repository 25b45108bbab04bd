// An order of [0, count) that is computed where it is asked for, not stored: as many windows as there are, in a new order each epoch.
//
// A Feistel network is a bijection whatever its round function is (Luby, Rackoff 1988); it works on the next power of 4, and a result
// beyond `count` is sent through again until it lies inside ("cycle walking": Black, Rogaway 2002, "Ciphers with Arbitrary Finite
// Domains", section 4), four times on average at most.
#pragma once
#include <array>
#include <cstdint>

#include "base/random.h"

namespace moiety {

class Permutation {
 public:
  Permutation(uint64_t count, std::array<uint32_t, 4> key) : count_(count), key_(key) {
    while (half_bits_ < 31 && uint64_t{1} << 2 * half_bits_ < count) half_bits_++;
  }

  // i < count <= 2^62.
  uint64_t operator()(uint64_t i) const {
    do i = network(i);
    while (i >= count_);
    return i;
  }

 private:
  uint64_t network(uint64_t i) const {
    const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << half_bits_) - 1);
    uint32_t left = static_cast<uint32_t>(i >> half_bits_), right = static_cast<uint32_t>(i) & mask;
    for (uint32_t round = 0; round < 8; round++) {
      const uint32_t mixed = left ^ (philox4x32({right, round, key_[2], key_[3]}, {key_[0], key_[1]})[0] & mask);
      left = right;
      right = mixed;
    }
    return uint64_t{left} << half_bits_ | right;
  }

  uint64_t count_;
  std::array<uint32_t, 4> key_;
  uint32_t half_bits_ = 1;
};

}  // namespace moiety
