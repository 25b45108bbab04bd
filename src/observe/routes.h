// What a trace says: load, entropy, reuse, co-activation, by layer.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "formats/npy.h"

namespace moiety {

// A trace as `moiety trace` writes it.
struct RouteTable {
  std::vector<int32_t> tokens;   // [T]
  std::vector<int32_t> layers;   // [M]
  std::vector<int32_t> counts;   // [M] experts of each layer; empty in traces that do not say
  size_t choices = 0;            // K
  std::vector<int32_t> experts;  // [T, M, K], -1 where a token has fewer
  std::vector<float> weights;    // [T, M, K]
  std::vector<int32_t> sequence; // [T] which text a token is of, where there are several
  std::string site = "ffn";      // or "attn": experts of the attention
  bool same_text(size_t t, size_t u) const { return sequence.empty() || sequence[t] == sequence[u]; }
  int32_t expert(size_t t, size_t m, size_t k) const { return experts[(t * layers.size() + m) * choices + k]; }
};
// First the FFN sites; then, where the model has them, those of the attention.
std::vector<RouteTable> read_routes(const std::filesystem::path& path);
// The same, from the bytes of the file; `origin` names it in messages.
std::vector<RouteTable> parse_routes(std::span<const std::byte> bytes, const std::string& origin);

struct LayerRoutes {
  int32_t layer = 0;
  std::string site;
  std::vector<double> load;       // [experts] share of the choices
  double entropy_bits = 0;        // of the load
  double busiest_quarter = 0;     // share that the busiest quarter of experts takes
  double reuse = 0;               // share of a token's experts that its predecessor had too
  double experts_per_token = 0;
  struct Pair {
    int32_t a, b;
    double lift;  // how much more often together than if chosen apart
  };
  std::vector<Pair> together;  // the strongest pairs
};
std::vector<LayerRoutes> analyse(const std::vector<RouteTable>& tables);

nlohmann::ordered_json as_json(const std::vector<LayerRoutes>& layers);
// Total variation between the loads of two traces, by layer. An Error if they are not of the same sites.
std::vector<double> load_distance(const std::vector<LayerRoutes>& a, const std::vector<LayerRoutes>& b);

// A page that needs nothing else: layers by experts, and the tokens coloured by expert with a choice of layer. `pieces`: the tokens' text,
// or empty. `distance`: from another trace, or empty.
std::string html_page(const RouteTable& table, const std::vector<LayerRoutes>& layers, const std::vector<double>& distance,
                      const std::vector<std::string>& pieces);
// The heat map as a picture.
void write_png(const std::filesystem::path& path, const std::vector<LayerRoutes>& layers);

}  // namespace moiety
