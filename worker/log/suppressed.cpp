#include "worker/log/suppressed.h"

namespace bulkhead::log {

void add_suppressed(Line& line, std::uint32_t limit, std::uint64_t suppressed, const SuppressedWords& words) noexcept {
  const auto count = static_cast<std::int64_t>(suppressed);
  line.text(words.does).text(" more than ").number(limit).text(" ").text(words.thing);
  line.text(limit == 1 ? " a second: " : "s a second: ").number(count).text(" ").text(words.thing);
  line.text(count == 1 ? " was not " : "s were not ").text(words.what_was_not_done).field("suppressed", count);
}

}  // namespace bulkhead::log
