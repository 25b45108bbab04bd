#include "kernels/attention.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "formats/codec.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using Attention = OnEveryIsa;

// The definition, in double, over the rows as the cache gives them back.
std::vector<double> by_definition(const AttentionShape& s, const std::vector<float>& q, const std::vector<float>& k,
                                  const std::vector<float>& v, size_t first, size_t last) {
  const size_t group = s.heads / s.kv_heads, key_width = s.kv_heads * s.key_size, value_width = s.kv_heads * s.value_size;
  std::vector<double> out(s.heads * s.value_size);
  for (size_t h = 0; h < s.heads; h++) {
    const size_t kv = h / group;
    std::vector<double> weights;
    double sum = s.sinks.empty() ? 0 : std::exp(static_cast<double>(s.sinks[h]));
    for (size_t p = first; p < last; p++) {
      double score = 0;
      for (size_t i = 0; i < s.key_size; i++) score += static_cast<double>(q[h * s.key_size + i]) * k[p * key_width + kv * s.key_size + i];
      score *= s.scale;
      if (s.softcap > 0) score = s.softcap * std::tanh(score / s.softcap);
      weights.push_back(std::exp(score));
      sum += weights.back();
    }
    for (size_t p = first; p < last; p++)
      for (size_t i = 0; i < s.value_size; i++)
        out[h * s.value_size + i] += weights[p - first] / sum * v[p * value_width + kv * s.value_size + i];
  }
  return out;
}

TEST_F(Attention, EqualsItsDefinition) {
  on_every_isa([&] {
    const auto sinks = normal(6);
    Workers workers(1);
    for (TensorType type : {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0})
      for (size_t kv_heads : {1, 2, 6})
        for (size_t size : {16, 32, 35})
          for (int variant = 0; variant < 4; variant++) {
            const size_t positions = 600, key_width = kv_heads * size, value_size = size == 35 ? 16 : size;
            const size_t value_width = kv_heads * value_size;
            if (type == TensorType::q8_0 && (key_width % 32 || value_width % 32)) continue;
            const AttentionShape shape{6, kv_heads, size, value_size, 0.2f, variant & 1 ? 1.5f : 0.0f,
                                       variant & 2 ? std::span<const float>(sinks) : std::span<const float>()};
            auto k = normal(positions * key_width), v = normal(positions * value_width);
            const auto q = normal(6 * size);
            const size_t key_bytes = bytes_of(type, key_width), value_bytes = bytes_of(type, value_width);
            std::vector<std::byte> keys(positions * key_bytes), values(positions * value_bytes);
            for (size_t p = 0; p < positions; p++) {
              const std::span key(k.data() + p * key_width, key_width), value(v.data() + p * value_width, value_width);
              store_row(key, type, keys.data() + p * key_bytes);
              store_row(value, type, values.data() + p * value_bytes);
              decode(type, keys.data() + p * key_bytes, key);
              decode(type, values.data() + p * value_bytes, value);
            }
            for (size_t first : {0, 5, 270})  // a block, a span and more
              for (size_t last : {6, 75, 257, 600}) {
                if (first >= last) continue;
                std::vector<float> out(6 * value_size, std::numeric_limits<float>::quiet_NaN());
                const AttentionRow row{q.data(), {type, keys.data(), key_width, key_bytes}, {type, values.data(), value_width, value_bytes}, first, last, out.data()};
                attend(shape, {&row, 1}, workers);
                const auto expected = by_definition(shape, q, k, v, first, last);
                for (size_t i = 0; i < out.size(); i++)
                  ASSERT_LE(std::abs(out[i] - expected[i]), 3e-6) << i << " first " << first << " last " << last << " variant " << variant << " " << type_info(type).name << " kv " << kv_heads << " size " << size;
              }
          }
  });
}

// Rows of several sequences, of all lengths and windows, with one thread and with three: the bits of each row alone.
TEST_F(Attention, TogetherAsAlone) {
  on_every_isa([&] {
    const auto sinks = normal(6);
    for (TensorType type : {TensorType::f32, TensorType::f16, TensorType::q8_0})
      for (const AttentionShape shape : {AttentionShape{8, 1, 64, 32, 0.1f, 0, {}}, AttentionShape{6, 3, 32, 32, 0.3f, 2.0f, {}}, AttentionShape{40, 1, 96, 64, 0.2f, 0, {}},
                                         AttentionShape{6, 6, 32, 64, 0.3f, 0, sinks}, AttentionShape{8, 2, 64, 32, 0.2f, 0, {}}, AttentionShape{10, 2, 32, 64, 0.2f, 0, {}},
                                         AttentionShape{7, 1, 64, 64, 0.2f, 0, {}}}) {
        const size_t positions = 670, key_width = shape.kv_heads * shape.key_size, value_width = shape.kv_heads * shape.value_size;
        const size_t key_bytes = bytes_of(type, key_width), value_bytes = bytes_of(type, value_width);
        std::vector<std::byte> keys[2], values[2];
        for (int s = 0; s < 2; s++) {
          keys[s].resize(positions * key_bytes), values[s].resize(positions * value_bytes);
          for (size_t p = 0; p < positions; p++) {
            store_row(normal(key_width), type, keys[s].data() + p * key_bytes);
            store_row(normal(value_width), type, values[s].data() + p * value_bytes);
          }
        }
        std::vector<AttentionRow> rows;
        std::vector<std::vector<float>> queries;
        for (size_t t = 0; t < 90; t++) {
          const size_t last = t < 60 ? 71 + 10 * t : 1 + 4 * (t - 60), window = t % 3 == 0 ? 40 : t % 3 == 1 ? 300 : last, first = last > window ? last - window : 0;
          const int s = t >= 60;
          queries.push_back(normal(shape.heads * shape.key_size));
          rows.push_back({queries.back().data(), {type, keys[s].data(), key_width, key_bytes}, {type, values[s].data(), value_width, value_bytes},
                          first, std::min(last, positions), nullptr});
        }
        const size_t n = shape.heads * shape.value_size;
        std::vector<float> alone(rows.size() * n), together(rows.size() * n);
        Workers one(1), three(3);
        for (size_t t = 0; t < rows.size(); t++) rows[t].out = alone.data() + t * n, attend(shape, {&rows[t], 1}, t % 2 ? one : three);
        for (Workers* workers : {&one, &three}) {
          for (size_t t = 0; t < rows.size(); t++) rows[t].out = together.data() + t * n;
          attend(shape, rows, *workers);
          ASSERT_EQ(std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)), 0) << type_info(type).name;
        }
      }
  });
}

TEST_F(Attention, CachedRowsAreRoundedToTheNearest) {
  on_every_isa([&] {
    const auto row = normal(96);
    for (TensorType type : {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0}) {
      std::vector<std::byte> bytes(bytes_of(type, row.size()));
      std::vector<float> back(row.size());
      store_row(row, type, bytes.data());
      decode(type, bytes.data(), back);
      for (size_t i = 0; i < row.size(); i++) {
        float top = 0;
        for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++) top = std::max(top, std::abs(row[j]));
        const float half = type == TensorType::f32    ? 0
                           : type == TensorType::f16  ? std::abs(row[i]) * 0x1p-11f
                           : type == TensorType::bf16 ? std::abs(row[i]) * 0x1p-8f
                                                      : top / 127 * 0.57f;  // half a step, and the scale's own rounding
        ASSERT_LE(std::abs(back[i] - row[i]), half + 1e-7f) << type_info(type).name;
      }
    }
    auto wrong = row;
    for (const float x : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      wrong[40] = x;
      std::vector<std::byte> bytes(bytes_of(TensorType::q8_0, wrong.size()));
      std::vector<float> back(wrong.size());
      store_row(wrong, TensorType::q8_0, bytes.data());
      decode(TensorType::q8_0, bytes.data(), back);
      EXPECT_FALSE(std::isfinite(back[40])) << x;
      EXPECT_TRUE(std::isfinite(back[31]));
    }
  });
  std::vector<std::byte> room(64);
  EXPECT_THROW(store_row(std::vector<float>(33), TensorType::q8_0, room.data()), Error);
}

}  // namespace
}  // namespace moiety
