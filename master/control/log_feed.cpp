#include "master/control/log_feed.h"

#include <utility>

#include "master/protocol/protocol.h"

namespace bulkhead::control {

namespace {

using Json = nlohmann::ordered_json;
using Record = journal::Memory::Reader::Record;

constexpr std::size_t kPiece = 16U << 10U;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json missed(const Record& record) {
  return {{"missed", record.missed}};
}

Json line(const Record& record) {
  return {{"seq", record.seq}, {"path", record.subject}, {"line", record.text}};
}

}  // namespace

LogFeed::LogFeed(const journal::Memory& memory, const std::string& path, std::optional<std::uint64_t> last, Json head)
    : reader_(memory, path, last), last_seq_(memory.last_seq()), head_(std::move(head)) {}

void LogFeed::add_element(std::string& out, const Json& element) {
  if (!std::exchange(first_, false)) out += ',';
  out += text_of(element);
}

bool LogFeed::answer(std::string& out) {
  if (!std::exchange(has_begun_, true)) {
    out += text_of(head_);
    out.back() = ',';  // in place of its brace
    out += "\"lines\":[";
  }
  const std::size_t end = out.size() + kPiece;
  while (out.size() < end) {
    const auto record = reader_.next(last_seq_);
    if (!record) {
      out += "]}";
      return false;
    }
    if (record->missed != 0) add_element(out, missed(*record));
    add_element(out, line(*record));
  }
  return true;
}

bool LogFeed::notify(std::string& out) {
  const auto record = reader_.next();
  if (!record) return false;
  if (record->missed != 0) out += protocol::log_line(text_of(missed(*record)));
  out += protocol::log_line(text_of(line(*record)));
  return true;
}

}  // namespace bulkhead::control
