#include "learn/report.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "base/json.h"

namespace moiety {
namespace {

using nlohmann::json;
constexpr size_t most_points = 600;  // of a curve: more are averaged, so that the page stays small

// Entropy in bits of a site's load in a step: log2(experts) where all serve alike.
double entropy(const json& load) {
  double sum = 0, out = 0;
  for (const json& n : load) sum += n.get<double>();
  for (const json& n : load)
    if (const double share = sum > 0 ? n.get<double>() / sum : 0; share > 0) out -= share * std::log2(share);
  return out;
}

// Several steps as one point.
json averaged(const std::vector<json>& steps, size_t begin, size_t end) {
  json out = {{"step", steps[end - 1]["step"]}};
  const double count = static_cast<double>(end - begin);
  for (const char* key : {"loss", "nll", "gradient_norm", "rate"}) {
    double sum = 0;
    for (size_t i = begin; i < end; i++) sum += steps[i][key].get<double>();
    out[key] = sum / count;
  }
  for (size_t i = begin; i < end; i++)
    if (steps[i].contains("load"))
      for (const auto& [site, load] : steps[i]["load"].items()) {
        json& sums = out["load"][site];
        if (sums.is_null()) sums = std::vector<double>(load.size(), 0.0);
        for (size_t e = 0; e < load.size(); e++) sums[e] = sums[e].get<double>() + load[e].get<double>();
      }
  if (out.contains("load"))
    for (const auto& [site, load] : out["load"].items()) out["entropy"][site] = entropy(load);
  return out;
}

constexpr std::string_view page_begin = R"page(<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>moiety train</title>
<style>
body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 1000px; color: #222; background: #fff }
h2 { font-size: 1.1em; margin: 1.6em 0 0.3em } svg { width: 100%; background: #fafafa; border: 1px solid #ddd }
text { font: 11px system-ui, sans-serif; fill: #555 } .key { margin-right: 1.2em } .key::before { content: "\25A0\00A0"; color: var(--c) }
table { border-collapse: collapse } td, th { padding: 0.1em 0.8em 0.1em 0; text-align: right } th:first-child, td:first-child { text-align: left }
</style><h1>Training run</h1><div id="page"></div><script>
const data = )page";

constexpr std::string_view page_end = R"page(;
const page = document.getElementById("page"), colours = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"];
function add(tag, text, parent = page) { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; parent.appendChild(e); return e; }
function svg(height) { const s = document.createElementNS("http://www.w3.org/2000/svg", "svg"); s.setAttribute("viewBox", `0 0 1000 ${height}`); page.appendChild(s); return s; }
function draw(s, tag, attributes, text) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const k in attributes) e.setAttribute(k, attributes[k]);
  if (text !== undefined) e.textContent = text;
  s.appendChild(e); return e;
}
// series: [{name, points: [[step, value]]}]
function curves(title, series) {
  const points = series.flatMap(x => x.points).filter(p => isFinite(p[1]));
  if (!points.length) return;
  add("h2", title);
  const steps = points.map(p => p[0]), values = points.map(p => p[1]);
  const x0 = Math.min(...steps), x1 = Math.max(...steps, x0 + 1), y0 = Math.min(...values), y1 = Math.max(...values, y0 + 1e-9);
  const s = svg(260), x = v => 60 + 920 * (v - x0) / (x1 - x0), y = v => 230 - 210 * (v - y0) / (y1 - y0);
  for (let i = 0; i <= 4; i++) {
    const v = y0 + (y1 - y0) * i / 4;
    draw(s, "line", {x1: 60, x2: 980, y1: y(v), y2: y(v), stroke: "#e5e5e5"});
    draw(s, "text", {x: 54, y: y(v) + 4, "text-anchor": "end"}, v.toPrecision(3));
    draw(s, "text", {x: x(x0 + (x1 - x0) * i / 4), y: 248, "text-anchor": "middle"}, Math.round(x0 + (x1 - x0) * i / 4));
  }
  series.forEach((one, i) => {
    const p = draw(s, "polyline", {points: one.points.map(q => x(q[0]) + "," + y(q[1])).join(" "), fill: "none", stroke: colours[i % 8], "stroke-width": 1.5});
    draw(p, "title", {}, one.name);
  });
  const keys = add("div");
  series.forEach((one, i) => { const k = add("span", one.name + " " + one.points[one.points.length - 1][1].toPrecision(4), keys); k.className = "key"; k.style.setProperty("--c", colours[i % 8]); });
}
// rows: [{name, values}]; a cell's darkness is its value over the largest of all
function heat(title, rows, columns) {
  if (!rows.length) return;
  add("h2", title);
  const h = Math.max(0.7, Math.min(18, 400 / rows.length)), s = svg(rows.length * h + 20), w = 880 / rows[0].values.length, most = Math.max(...rows.flatMap(r => r.values), 1e-9);
  rows.forEach((r, i) => {
    if (h > 9) draw(s, "text", {x: 94, y: i * h + h * 0.75, "text-anchor": "end"}, r.name);
    r.values.forEach((v, j) => draw(draw(s, "rect", {x: 100 + j * w, y: i * h, width: w + 0.3, height: h + 0.3, fill: `rgba(37,99,235,${v / most})`}), "title", {}, `${r.name}, ${columns} ${j}: ${v.toPrecision(3)}`));
  });
  draw(s, "text", {x: 100, y: rows.length * h + 14}, columns + " 0 to " + (rows[0].values.length - 1));
}
const steps = data.steps, last = data.evaluations[data.evaluations.length - 1], share = l => { const t = l.reduce((a, b) => a + b, 0) || 1; return l.map(v => v / t); };
curves("Loss (with what parts add) and nats a token", [{name: "loss", points: steps.map(s => [s.step, s.loss])}, {name: "nats a token", points: steps.map(s => [s.step, s.nll])}]);
if (last) {
  const domains = Object.keys(last.evaluation);
  curves("Held-out text: bits per byte", domains.map(d => ({name: d, points: data.evaluations.filter(e => e.evaluation[d]).map(e => [e.step, e.evaluation[d].bits_per_byte])})));
  const t = add("table"), head = add("tr", undefined, t);
  ["domain", "bits per byte", "nats a token", "bytes"].forEach(x => add("th", x, head));
  domains.forEach(d => { const r = add("tr", undefined, t), v = last.evaluation[d]; [d, v.bits_per_byte.toFixed(4), v.nll.toFixed(4), v.bytes].forEach(x => add("td", x, r)); });
  for (let site = 0; site < (last.evaluation[domains[0]].load || []).length; site++)
    heat(`Which experts serve which domain, site ${site} of the last evaluation`, domains.map(d => ({name: d, values: share(last.evaluation[d].load[site])})), "expert");
}
const sites = steps.length && steps[0].load ? Object.keys(steps[0].load) : [];
curves("Entropy of the load in bits (the logarithm of the number of experts: even)", sites.map(n => ({name: n, points: steps.map(s => [s.step, s.entropy[n]])})));
sites.forEach(n => heat("Load over time, " + n + " (first step at the top)", steps.map(s => ({name: "step " + s.step, values: share(s.load[n])})), "expert"));
curves("Norm of the gradients", [{name: "norm", points: steps.map(s => [s.step, s.gradient_norm])}]);
curves("Rate", [{name: "rate", points: steps.map(s => [s.step, s.rate])}]);
</script></html>
)page";

}  // namespace

void write_report(const std::filesystem::path& run) {
  const std::string name = (run / "metrics.jsonl").string();
  std::istringstream lines(read_text_file(name));
  std::vector<json> steps;
  json evaluations = json::array();
  for (std::string line; std::getline(lines, line);) {
    json one = parse_json(line, name);
    if (one.contains("evaluation")) evaluations.push_back(std::move(one));
    else steps.push_back(std::move(one));
  }
  json points = json::array();
  const size_t group = (steps.size() + most_points - 1) / most_points;
  for (size_t i = 0; i < steps.size(); i += group) points.push_back(averaged(steps, i, std::min(steps.size(), i + group)));
  std::string text = json{{"steps", points}, {"evaluations", evaluations}}.dump(-1, ' ', true);
  for (size_t at = 0; (at = text.find("</", at)) != std::string::npos; at += 3) text.replace(at, 2, "<\\/");  // a domain's name can't end the script
  AtomicFile page(run / "report.html");
  page.write(page_begin);
  page.write(text);
  page.write(page_end);
  page.commit();
}

}  // namespace moiety
