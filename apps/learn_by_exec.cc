// In `moiety`: libtorch loads some three hundred libraries, so what needs it lives in moiety-learn, which takes this process's place.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "apps/recipe.h"
#include "apps/train.h"
#include "base/error.h"

namespace moiety {
namespace {

[[noreturn]] void become_learn(const Commands& commands) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe").replace_filename("moiety-learn");
  ::execv(program.c_str(), commands.arguments);
  throw Error("{}: {}; training needs this program beside moiety: install libtorch-dev and libtomlplusplus-dev, and build with -DMOIETY_LEARN=ON", program.string(), std::strerror(errno));
}

}  // namespace

int run_train(const TrainVerb&, const Commands& commands) { become_learn(commands); }
int run_recipe_verb(const RecipeVerb&, const Commands& commands) { become_learn(commands); }

}  // namespace moiety
