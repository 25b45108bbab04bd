// A directory that is written whole or not at all.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace moiety {

// Files go into path(), a directory beside the target; commit() puts it in the target's place. Without it nothing is left behind, also
// after Ctrl-C.
class AtomicDirectory {
 public:
  // An existing target: its files of which `ours` says so are replaced as a whole, all others stay.
  AtomicDirectory(std::filesystem::path target, std::function<bool(const std::string& name)> ours);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  std::function<bool(const std::string&)> ours_;
  bool committed_ = false;
};

}  // namespace moiety
