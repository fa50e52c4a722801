// Why a child did not start, for the answer to the client that asked for it: how far it came, how it ended, and what
// it wrote last.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/journal/event_ring.h"
#include "master/journal/memory.h"

namespace bulkhead::journal {

struct StartFailure {
  std::string reason;                   // "root/db (pid 812): exited with status 3 before it was ready"; empty: unknown
  std::vector<std::string> last_lines;  // its own, the last at the end

  // `reason; its last lines: "…", "…"`
  [[nodiscard]] std::string text() const;
};

class StartFailures {
 public:
  // Both must outlive it.
  StartFailures(const EventRing& events, const Memory& lines) : events_(events), lines_(lines) {}

  [[nodiscard]] std::uint64_t now() const noexcept { return events_.last_seq(); }
  // Of a start of the node at `path` that began at `since`, a value of now().
  [[nodiscard]] StartFailure why(const std::string& path, std::uint64_t since) const;

 private:
  const EventRing& events_;
  const Memory& lines_;
};

}  // namespace bulkhead::journal
