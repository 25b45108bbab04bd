// Where models are: in models/ of the working directory, of the source tree, or beside an installed moiety. A model there is NAME.gguf, or a
// directory NAME: a Hugging Face one, or one that holds NAME.gguf and what there is to say about it.
#include <algorithm>

#include "apps/verbs.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders() {
  return {"models", MOIETY_MODELS, fs::read_symlink("/proc/self/exe").parent_path() / "../share/moiety/models"};
}

// What a path stands for: of a directory with a GGUF file of its own name, that file.
fs::path file_of(const fs::path& path) {
  const fs::path plain = path.filename().empty() ? path.parent_path() : path;
  const fs::path inside = plain / (plain.filename().string() + ".gguf");
  return fs::is_regular_file(inside) ? inside : path;
}

}  // namespace

fs::path find_model(const std::string& name) {
  if (fs::exists(name)) return file_of(name);
  if (name.find('/') == std::string::npos)
    for (const fs::path& folder : folders())
      for (const std::string& candidate : {name, name + ".gguf"})
        if (fs::exists(folder / candidate)) return file_of(folder / candidate);
  throw Error("{}: there is no such file, directory or model; `moiety models` lists those at hand", name);
}

std::vector<ModelAtHand> models_at_hand() {
  std::vector<ModelAtHand> out;
  for (const fs::path& folder : folders()) {
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().stem().string();
      if ((entry.is_directory() || entry.path().extension() == ".gguf") && std::ranges::find(out, name, &ModelAtHand::name) == out.end()) out.push_back({name, file_of(entry.path())});
    }
  }
  std::ranges::sort(out, {}, &ModelAtHand::name);
  return out;
}

}  // namespace moiety
