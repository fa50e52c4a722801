// Sends the last log lines of the nodes at or below a path to one client: first the answer to `logs`,
//
//   {"path", "notes": [text, …], "lines": [{"seq", "path", "line"}, …]}
//
// then, if the client follows, one `log` notification for each line. It is written piece by piece as the client reads,
// straight from the memory, so that a slow client costs no memory and delays nobody: lines that are cut before they
// could be sent are counted, and an element {"missed": N} stands in their place.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "master/journal/memory.h"

namespace bulkhead::control {

class LogFeed {
 public:
  // The answer has the lines that are there now, or the last `last` of them. `head`: its other members. The memory must
  // outlive it.
  LogFeed(const journal::Memory& memory, const std::string& path, std::optional<std::uint64_t> last,
          nlohmann::ordered_json head);

  // Appends a piece of the answer. False: that was the last one.
  [[nodiscard]] bool answer(std::string& out);
  // Then: appends one notification. False: there is none for now.
  [[nodiscard]] bool notify(std::string& out);

 private:
  void add_element(std::string& out, const nlohmann::ordered_json& element);

  journal::Memory::Reader reader_;
  std::uint64_t last_seq_;  // of the answer
  nlohmann::ordered_json head_;
  bool has_begun_ = false;
  bool first_ = true;
};

}  // namespace bulkhead::control
