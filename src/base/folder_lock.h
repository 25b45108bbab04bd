// A folder that is one process's until it ends, however it ends.
#pragma once
#include <filesystem>
#include <string>

namespace moiety {

class FolderLock {
 public:
  // An Error if another process holds it; `who` is that process in words.
  FolderLock(const std::filesystem::path& folder, const std::string& who);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;

 private:
  int file_;
};

}  // namespace moiety
