// A run as it stands after a step, in RUN/checkpoint-STEP/: enough to go on with the same bits.
//
//   state.safetensors  each parameter, with .m and .v its moments if it moves and .ema its average if one is kept, and each buffer, float32
//   state.json         step, tokens, where the data stand, how long metrics.jsonl was
//   config.toml, tokenizer.json  as the run began with
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "learn/arena.h"

namespace moiety {

using Buffers = std::vector<std::pair<std::string, std::span<float>>>;

// A file that goes with the checkpoint.
struct Companion {
  std::string name, text;
};

// Written whole or not at all: after a crash the newest one that is there is good. Keeps the `keep` newest.
void write_checkpoint(const std::filesystem::path& run, uint64_t step, Arena& arena, const Buffers& buffers, const nlohmann::json& state,
                      std::span<const Companion> companions, size_t keep);

// The newest checkpoint of a run, if it has one.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run);

// Fills arena and buffers; returns state.json. An Error if the checkpoint is of another model, or damaged.
nlohmann::json read_checkpoint(const std::filesystem::path& checkpoint, Arena& arena, const Buffers& buffers);

// What a killed process left unfinished in a run's directory.
void remove_leftovers(const std::filesystem::path& run);

}  // namespace moiety
