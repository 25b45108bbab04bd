#include "observe/routes.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace moiety {

namespace {

const NpyArray* find(const NpzArrays& arrays, const std::string& name) {
  for (const auto& [key, array] : arrays)
    if (key == name) return &array;
  return nullptr;
}

template <class T>
std::vector<T> take(const NpzArrays& arrays, const std::string& name, const std::string& path) {
  const NpyArray* array = find(arrays, name);
  if (!array) throw Error("{}: has no array {}; it is no trace (write one with `moiety trace`)", path, name);
  const auto* values = std::get_if<std::vector<T>>(&array->values);
  if (!values) throw Error("{}: array {} holds other numbers than expected", path, name);
  return *values;
}

RouteTable read_table(const NpzArrays& arrays, const std::string& prefix, const std::string& path) {
  RouteTable out;
  out.tokens = take<int32_t>(arrays, "tokens", path);
  out.layers = take<int32_t>(arrays, prefix + "layers", path);
  out.experts = take<int32_t>(arrays, prefix + "experts", path);
  out.weights = take<float>(arrays, prefix + "weights", path);
  if (find(arrays, "sequence")) out.sequence = take<int32_t>(arrays, "sequence", path);
  if (find(arrays, prefix + "counts")) out.counts = take<int32_t>(arrays, prefix + "counts", path);
  const std::vector<uint64_t>& shape = find(arrays, prefix + "experts")->shape;
  if (shape.size() != 3) throw Error("{}: {}experts is not [T, M, K]", path, prefix);
  out.choices = shape[2];
  if (out.tokens.size() != shape[0] || out.layers.size() != shape[1] || out.weights.size() != out.experts.size() ||
      (!out.counts.empty() && out.counts.size() != out.layers.size()) || (!out.sequence.empty() && out.sequence.size() != out.tokens.size()))
    throw Error("{}: the arrays do not fit each other", path);
  int64_t experts_of_a_layer = 0;
  for (int32_t n : out.counts) {
    if (n < 0) throw Error("{}: a layer of {} experts", path, n);
    experts_of_a_layer = std::max<int64_t>(experts_of_a_layer, n);
  }
  for (size_t i = 0; i < out.experts.size(); i++) {
    const int32_t e = out.experts[i];
    const size_t m = i / out.choices % out.layers.size();
    if (e < -1 || (!out.counts.empty() && e >= out.counts[m])) throw Error("{}: an expert of id {} in layer {}", path, e, out.layers[m]);
    experts_of_a_layer = std::max<int64_t>(experts_of_a_layer, int64_t{e} + 1);
  }
  // Work and memory grow with these, whatever the file's size.
  if (experts_of_a_layer * static_cast<int64_t>(out.layers.size()) > 1 << 20 || out.choices > 4096)
    throw Error("{}: {} experts in {} layers, {} for a token: more than any model has", path, experts_of_a_layer, out.layers.size(), out.choices);
  return out;
}

LayerRoutes analyse_layer(const RouteTable& t, size_t m, size_t experts) {
  LayerRoutes layer;
  layer.layer = t.layers[m], layer.site = t.site;
  std::vector<double> counts(experts);
  std::map<std::pair<int32_t, int32_t>, double> pairs;
  double total = 0, shared = 0, followers = 0;
  for (size_t i = 0; i < t.tokens.size(); i++) {
    const bool follows = i > 0 && t.same_text(i - 1, i);
    for (size_t k = 0; k < t.choices; k++) {
      const int32_t e = t.expert(i, m, k);
      if (e < 0) continue;
      counts[static_cast<size_t>(e)]++, total++;
      for (size_t j = 0; j < t.choices; j++)
        if (const int32_t other = t.expert(i, m, j); other > e) pairs[{e, other}]++;
      if (!follows) continue;
      followers++;
      for (size_t j = 0; j < t.choices; j++) shared += t.expert(i - 1, m, j) == e;
    }
  }
  const double tokens = static_cast<double>(t.tokens.size());
  for (double c : counts) {
    layer.load.push_back(total > 0 ? c / total : 0);
    if (c > 0) layer.entropy_bits -= c / total * std::log2(c / total);
  }
  std::vector<double> sorted = layer.load;
  std::ranges::sort(sorted, std::greater());
  for (size_t i = 0; i < (sorted.size() + 3) / 4; i++) layer.busiest_quarter += sorted[i];
  layer.reuse = followers > 0 ? shared / followers : 0;
  layer.experts_per_token = tokens > 0 ? total / tokens : 0;
  for (const auto& [pair, together] : pairs) {
    const double apart = counts[static_cast<size_t>(pair.first)] * counts[static_cast<size_t>(pair.second)] / tokens;
    if (together >= 3) layer.together.push_back({pair.first, pair.second, together / apart});
  }
  std::ranges::sort(layer.together, [](const auto& a, const auto& b) { return a.lift != b.lift ? a.lift > b.lift : std::pair(a.a, a.b) < std::pair(b.a, b.b); });
  if (layer.together.size() > 8) layer.together.resize(8);
  return layer;
}

}  // namespace

std::vector<RouteTable> read_routes(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_routes(file.bytes(), path.string());
}

std::vector<RouteTable> parse_routes(std::span<const std::byte> bytes, const std::string& origin) {
  const NpzArrays arrays = parse_npz(bytes, origin);
  std::vector<RouteTable> out = {read_table(arrays, "", origin)};
  if (find(arrays, "attn_experts")) {
    out.push_back(read_table(arrays, "attn_", origin));
    out.back().site = "attn";
  }
  return out;
}

std::vector<LayerRoutes> analyse(const std::vector<RouteTable>& tables) {
  std::vector<LayerRoutes> out;
  for (const RouteTable& t : tables) {
    int32_t seen = 0;
    for (int32_t e : t.experts) seen = std::max(seen, e + 1);
    for (size_t m = 0; m < t.layers.size(); m++) out.push_back(analyse_layer(t, m, static_cast<size_t>(t.counts.empty() ? seen : t.counts[m])));
  }
  return out;
}

nlohmann::ordered_json as_json(const std::vector<LayerRoutes>& layers) {
  nlohmann::ordered_json out = nlohmann::json::array();
  for (const LayerRoutes& l : layers) {
    nlohmann::ordered_json pairs = nlohmann::json::array();
    for (const auto& p : l.together) pairs.push_back({{"experts", {p.a, p.b}}, {"lift", p.lift}});
    out.push_back({{"layer", l.layer}, {"site", l.site}, {"load", l.load}, {"entropy_bits", l.entropy_bits}, {"busiest_quarter", l.busiest_quarter},
                   {"reuse", l.reuse}, {"experts_per_token", l.experts_per_token}, {"together", pairs}});
  }
  return out;
}

std::vector<double> load_distance(const std::vector<LayerRoutes>& a, const std::vector<LayerRoutes>& b) {
  const bool same = std::ranges::equal(a, b, [](const LayerRoutes& x, const LayerRoutes& y) { return x.layer == y.layer && x.site == y.site; });
  if (!same) throw Error("the two traces are of different layers; traces of models with the same layers compare");
  std::vector<double> out;
  for (size_t m = 0; m < a.size(); m++) {
    double sum = 0;
    for (size_t e = 0; e < std::max(a[m].load.size(), b[m].load.size()); e++)
      sum += std::abs((e < a[m].load.size() ? a[m].load[e] : 0) - (e < b[m].load.size() ? b[m].load[e] : 0));
    out.push_back(sum / 2);
  }
  return out;
}

std::string html_page(const RouteTable& t, const std::vector<LayerRoutes>& layers, const std::vector<double>& distance,
                      const std::vector<std::string>& pieces) {
  const size_t shown = std::min<size_t>(t.tokens.size(), 2000);
  nlohmann::ordered_json data;
  data["layers"] = as_json(layers);
  if (!distance.empty()) data["distance"] = distance;
  data["tokens"] = nlohmann::json::array();
  for (size_t i = 0; i < shown; i++) {
    nlohmann::json first = nlohmann::json::array();
    for (size_t m = 0; m < t.layers.size(); m++) {
      nlohmann::json row = nlohmann::json::array();
      for (size_t k = 0; k < t.choices; k++)
        if (t.expert(i, m, k) >= 0) row.push_back({t.expert(i, m, k), std::round(t.weights[(i * t.layers.size() + m) * t.choices + k] * 1000) / 1000});
      first.push_back(row);
    }
    data["tokens"].push_back({{"text", i < pieces.size() ? pieces[i] : std::to_string(t.tokens[i])}, {"routes", first}});
  }
  std::string json = data.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  for (size_t at = 0; (at = json.find("</", at)) != std::string::npos; at += 3) json.replace(at, 2, "<\\/");
  return R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Which experts served which token</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; font-size: 12px } td.cell { min-width: 9px; height: 14px; padding: 0; border: 1px solid #fff }
td.name { padding-right: .6em; text-align: right; color: #666 } .token { border-radius: 3px; padding: 1px 0; white-space: pre-wrap; cursor: default }
#text { border: 1px solid #ddd; border-radius: 6px; padding: 1em; max-height: 30em; overflow: auto } #info { min-height: 1.6em; color: #444 }
</style>
<h1>Which experts served which token</h1>
<p>Load of each expert, a row for each layer; darker is more. Click a layer to colour the text by it.</p>
<div style="overflow:auto"><table id="map"></table></div>
<h2>Text, coloured by first expert of layer <select id="layer"></select></h2>
<p id="info">Point at a token.</p><div id="text"></div>
<script>
const data = )" + json + R"(;
const colour = e => `hsl(${(e * 137.508) % 360} 70% 82%)`;
const select = document.getElementById('layer'), text = document.getElementById('text'), info = document.getElementById('info');
function show(m) {
  select.value = m; text.textContent = '';
  for (const token of data.tokens) {
    const span = document.createElement('span'); span.className = 'token'; span.textContent = token.text;
    const routes = token.routes[m] || [];
    if (routes.length) span.style.background = colour(routes[0][0]);
    span.onmouseenter = () => info.textContent = JSON.stringify(token.text) + ': ' + (routes.map(([e, w]) => `expert ${e} (${w})`).join(', ') || 'no expert');
    text.append(span);
  }
}
const most = Math.max(...data.layers.map(l => l.load.length));
data.layers.forEach((l, m) => {
  const row = document.getElementById('map').insertRow(), top = Math.max(...l.load, 1e-9);
  const name = row.insertCell(); name.className = 'name'; name.textContent = 'layer ' + l.layer + (l.site === 'attn' ? ' attention' : '');
  l.load.forEach((share, e) => { const c = row.insertCell(); c.className = 'cell'; c.style.background = `rgb(${[8, 60, 120].map(v => Math.round(255 - (255 - v) * share / top)).join(' ')})`; c.title = `expert ${e}: ${(share * 100).toFixed(2)}%`; });
  if (l.load.length < most) row.insertCell().colSpan = most - l.load.length;
  const stats = row.insertCell(); stats.className = 'name'; stats.textContent = `entropy ${l.entropy_bits.toFixed(2)} bits, busiest quarter ${(l.busiest_quarter * 100).toFixed(0)}%, reuse ${(l.reuse * 100).toFixed(0)}%`;
  const pairs = row.insertCell(); pairs.className = 'name'; pairs.textContent = l.together.slice(0, 3).map(p => `${p.experts.join('+')} ×${p.lift.toFixed(1)}`).join(', ');
  pairs.title = 'pairs of experts that serve a token together more often than by chance';
  if (data.distance) { const d = row.insertCell(); d.className = 'name'; d.textContent = `distance ${data.distance[m].toFixed(3)}`; d.title = 'total variation between the loads of the two traces'; }
  if (l.site === 'attn') return;  // the text is coloured by experts of FFNs
  row.onclick = () => show(m);
  select.add(new Option(l.layer, m));
});
select.onchange = () => show(+select.value);
if (select.length) show(0);
</script></html>
)";
}

void write_png(const std::filesystem::path& path, const std::vector<LayerRoutes>& layers) {
  size_t experts = 1;
  for (const LayerRoutes& l : layers) experts = std::max(experts, l.load.size());
  const size_t cell = experts * layers.size() > 1 << 16 ? 1 : 8;
  const size_t width = experts * cell, height = std::max<size_t>(1, layers.size()) * cell;
  std::vector<uint8_t> pixels(width * height * 3, 255);
  for (size_t y = 0; y < height && y / cell < layers.size(); y++) {
    const LayerRoutes& l = layers[y / cell];
    double top = 1e-9;
    for (double share : l.load) top = std::max(top, share);
    for (size_t x = 0; x < width; x++) {
      const double share = x / cell < l.load.size() ? l.load[x / cell] / top : 0;
      constexpr int dark[] = {8, 60, 120};
      for (size_t c = 0; c < 3; c++) pixels[(y * width + x) * 3 + c] = static_cast<uint8_t>(255 - (255 - dark[c]) * share);
    }
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width), image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  if (!png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr)) throw Error("{}: the picture could not be made: {}", path.string(), image.message);
  std::string bytes(size, '\0');
  png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr);
  AtomicFile out(path);
  out.write(bytes);
  out.commit();
}

}  // namespace moiety
