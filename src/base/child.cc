#include "base/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"

namespace moiety {
namespace {

// Between fork and exec: only calls that a signal handler may make.
[[noreturn]] void become(const char* program, char* const* arguments, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  setpgid(0, 0);  // a terminal's Ctrl-C comes by way of this process, once
  if (getppid() != parent) _exit(127);  // it has ended meanwhile
  const int nothing = open("/dev/null", O_RDWR);
  if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(127);
  execv(program, arguments);
  _exit(127);
}

}  // namespace

int run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log, const std::function<void()>& wait) {
  const std::string name = program.string();
  std::vector<char*> words{const_cast<char*>(name.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) throw Error("{}: can't be written: {}", log.string(), std::strerror(errno));
  const pid_t self = getpid(), child = fork();
  if (child == 0) become(name.c_str(), words.data(), file, self);
  close(file);
  if (child < 0) throw Error("{}: can't be started: {}", name, std::strerror(errno));
  int status = 0;
  for (bool told = false; waitpid(child, &status, WNOHANG) == 0; std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
    if (interrupted() && !told) kill(child, SIGINT), told = true;
    wait();
  }
  throw_if_interrupted();
  if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
  if (WEXITSTATUS(status) == 127) throw Error("{}: can't be started", name);
  return WEXITSTATUS(status);
}

}  // namespace moiety
