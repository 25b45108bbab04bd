// A program that runs beside this one and ends with it.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace moiety {

// Runs it to its end and returns its exit status (128 + the signal that ended it). Its stdout goes nowhere, its stderr into `log`. `wait` is called a few times
// a second; if this process was interrupted (Ctrl-C), so is the program, and Interrupted is thrown when it has ended.
int run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments, const std::filesystem::path& log, const std::function<void()>& wait);

}  // namespace moiety
