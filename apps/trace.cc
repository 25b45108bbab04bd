// moiety trace and moiety routes: who was routed where, and what that says.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "base/file.h"
#include "engine/token_progress.h"
#include "observe/load.h"
#include "observe/routes.h"
#include "observe/trace.h"
#include "text/tokenizer.h"

namespace moiety {

void add_trace(Commands& commands) {
  struct Options : ModelOptions {
    std::string text, file, ids_file, out;
    bool scores = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("trace", "which experts served which token of a text, as arrays");
  add_model_options(*verb, *o);
  verb->add_option("TEXT", o->text, "the text");
  verb->add_option("--file", o->file, "a file with the text (default: TEXT)");
  verb->add_option("--tokens-file", o->ids_file, "JSON file with a list of id lists (default: none)");
  verb->add_option("--out", o->out, "the .npz file to write")->required();
  verb->add_flag("--scores", o->scores, "adds the router's score of every expert");
  verb->footer("Example: moiety trace model.gguf --file story.txt --out story.npz");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      if ((!o->text.empty()) + (!o->file.empty()) + (!o->ids_file.empty()) != 1) throw UsageError("give a text, --file or --tokens-file");
      const auto model = open_model(*o, commands.quiet);
      std::vector<std::vector<int32_t>> texts;
      if (!o->ids_file.empty()) texts = read_id_lists(o->ids_file);
      else texts.push_back(load_tokenizer(model->path)->encode(o->file.empty() ? o->text : read_text_file(o->file)));
      SessionOptions options = session_options(*o);
      Session session(model, options);
      Tracer tracer(o->scores);
      uint64_t tokens = 0;
      for (const auto& ids : texts) tokens += ids.size();
      const TokenProgress computed({&session}, tokens, show_progress("tracing", "tokens", commands.quiet));
      for (const auto& ids : texts) {
        if (ids.empty()) throw Error("an empty text: there is nothing to trace");
        // A text longer than the context is cut into windows; each starts anew.
        for (size_t at = 0; at < ids.size(); at += session.context()) {
          const uint32_t s = session.add_sequence("", o->seed);
          const auto window = std::span(ids).subspan(at, std::min<size_t>(session.context(), ids.size() - at));
          const Append append{s, window, WantLogits::none};
          session.evaluate({&append, 1}, &tracer);
          session.remove_sequence(s);
        }
        tracer.add_text(ids);
      }
      write_npz(o->out, tracer.arrays());
      return 0;
    };
  });
}

void add_routes(Commands& commands) {
  struct Options {
    std::vector<std::string> traces;
    std::string html, png, model;
    bool json = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("routes", "load, entropy, reuse and co-activation of a trace; compares two");
  verb->add_option("TRACE", o->traces, "one or two .npz files of `moiety trace`")->required()->expected(1, 2);
  verb->add_option("--html", o->html, "writes a page with heat map and coloured text (default: none)");
  verb->add_option("--png", o->png, "writes the heat map as a picture (default: none)");
  verb->add_option("--model", o->model, "the model, so that the page shows text instead of token ids (default: none)");
  verb->add_flag("--json", o->json, "one JSON document on stdout");
  verb->footer("Example: moiety routes story.npz --html story.html --model model.gguf");
  verb->callback([o, &commands] {
    commands.chosen = [o] {
      const std::vector<RouteTable> tables = read_routes(o->traces[0]);
      const RouteTable& table = tables[0];
      const auto layers = analyse(tables);
      nlohmann::ordered_json out;
      out["tokens"] = table.tokens.size();
      out["layers"] = as_json(layers);
      std::vector<double> distance;
      if (o->traces.size() == 2) distance = load_distance(layers, analyse(read_routes(o->traces[1])));
      if (!distance.empty()) out["load_distance"] = distance;
      if (!o->html.empty()) {
        std::vector<std::string> pieces;
        if (!o->model.empty()) {
          const auto tokenizer = load_tokenizer(find_model(o->model));
          for (int32_t id : table.tokens) pieces.push_back(tokenizer->bytes_of(id));
        }
        AtomicFile page(o->html);
        page.write(html_page(table, layers, distance, pieces));
        page.commit();
      }
      if (!o->png.empty()) write_png(o->png, layers);
      if (o->json) {
        fmt::print("{}\n", out.dump(2));
        return 0;
      }
      fmt::print("{} tokens\nlayer       per token  entropy  busiest quarter  reuse{}\n", table.tokens.size(), distance.empty() ? "" : "  distance");
      std::vector<LoadCounter::SiteLoad> map;
      for (size_t m = 0; m < layers.size(); m++) {
        const LayerRoutes& l = layers[m];
        fmt::print("{:>5} {:<4}  {:>9.2f}  {:>6.2f}b  {:>14.1f}%  {:>4.1f}%", l.layer, l.site, l.experts_per_token, l.entropy_bits, l.busiest_quarter * 100, l.reuse * 100);
        if (m < distance.size()) fmt::print("  {:>8.3f}", distance[m]);
        fmt::print("\n");
        LoadCounter::SiteLoad row;
        row.layer = static_cast<uint32_t>(l.layer);
        for (double share : l.load) row.counts.push_back(static_cast<uint64_t>(share * 1e6));
        map.push_back(std::move(row));
      }
      fmt::print("\nload by expert:\n{}", heat_map(map, 64, false));
      return 0;
    };
  });
}

}  // namespace moiety
