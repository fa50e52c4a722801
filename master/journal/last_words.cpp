#include "master/journal/last_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>

#include "worker/log/utf8.h"

namespace bulkhead::journal {

namespace {

constexpr std::string_view kJsonTime = "{\"time\":\"";
constexpr std::string_view kWorker = "bulkhead-worker";
constexpr std::size_t kTimeLength = 24;

std::string_view time_of(std::string_view line) {
  if (line.starts_with(kJsonTime)) line.remove_prefix(kJsonTime.size());
  return line.substr(0, kTimeLength);
}

// True if the line ended in it.
bool cut_end(std::string_view& line, std::string_view end) {
  if (!line.ends_with(end)) return false;
  line.remove_suffix(end.size());
  return true;
}

std::optional<std::string> from_json(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || (!json.contains("stream") && json.value("program", "") != kWorker)) return std::nullopt;
  return json.value("message", "");
}

}  // namespace

std::optional<std::string> own_words(std::string_view path, std::string_view line) {
  if (line.starts_with(kJsonTime)) return from_json(line);
  if (line.size() <= kTimeLength + 1) return std::nullopt;
  const bool is_workers = line.substr(kTimeLength + 1).starts_with(kWorker);
  (void)cut_end(line, " continued=true");
  const bool is_output = cut_end(line, " stream=stdout") || cut_end(line, " stream=stderr");
  if (!is_workers && !is_output) return std::nullopt;
  // A worker's line may be about its listener.
  const std::string begin = is_workers ? ": " : fmt::format(" {}: ", path);
  const std::size_t at = line.find(begin);
  if (at == std::string_view::npos) return std::nullopt;
  return std::string(line.substr(at + begin.size()));
}

std::vector<std::string> last_words(const Memory& memory, const std::string& path, std::string_view since) {
  std::deque<std::string> out;
  Memory::Reader reader(memory, path);
  while (const auto record = reader.next()) {
    if (time_of(record->text) < since) continue;
    auto words = own_words(record->subject, record->text);
    if (!words) continue;
    if (words->size() > kLongestWord) {
      words->resize(log::whole_characters(std::string_view(*words).substr(0, kLongestWord)));
      *words += "...";
    }
    out.push_back(std::move(*words));
    if (out.size() > kLastWords) out.pop_front();
  }
  return {out.begin(), out.end()};
}

}  // namespace bulkhead::journal
