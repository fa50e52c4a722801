#include "master/journal/start_failure.h"

#include <fmt/format.h>

#include <utility>

#include "master/journal/explain.h"
#include "master/journal/last_words.h"

namespace bulkhead::journal {

std::string StartFailure::text() const {
  if (last_lines.empty()) return reason;
  std::string out = reason + (last_lines.size() == 1 ? "; its last line: " : "; its last lines: ");
  bool first = true;
  for (const std::string& line : last_lines)
    out += fmt::format("{}\"{}\"", std::exchange(first, false) ? "" : ", ", line);
  return out;
}

StartFailure StartFailures::why(const std::string& path, std::uint64_t since) const {
  const FailedStart failed = why_not_started(events_, path, since);
  StartFailure out{failed.words, {}};
  if (!failed.began.empty()) out.last_lines = last_words(lines_, failed.path, failed.began);
  return out;
}

}  // namespace bulkhead::journal
