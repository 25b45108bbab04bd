// RUN/report.html: curves of a run and who was served by which expert, in one page that needs nothing else.
#pragma once
#include <filesystem>

namespace moiety {

// Reads RUN/metrics.jsonl; replaces the page as a whole.
void write_report(const std::filesystem::path& run);

}  // namespace moiety
