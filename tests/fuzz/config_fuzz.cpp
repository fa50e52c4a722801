// Bytes as a configuration. The result is either a configuration or problems, never both or neither; a problem is one
// line with a position inside the text; and the output of --dump-config loads again to the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "master/config/host.h"

namespace {

using namespace bulkhead::config;

// Root on a system with one user. It has no files to include, because the files of the real system must not change the
// result.
class FuzzHost final : public Host {
 public:
  std::uint32_t user_id() const override { return 0; }
  std::uint32_t group_id() const override { return 0; }
  std::optional<Account> user(const std::string& name) const override {
    return name == "a" ? std::optional(Account{"a", 1, 1}) : std::nullopt;
  }
  std::optional<Account> user(std::uint32_t) const override { return std::nullopt; }
  std::optional<std::uint32_t> group(const std::string&) const override { return std::nullopt; }
  std::vector<std::uint32_t> groups(const Account&, std::uint32_t gid) const override { return {gid}; }
  Capacity capacity() const override { return {2, {}, {}}; }
  std::uint64_t hard_limit(int) const override { return 1024; }
  std::string control_socket() const override { return "/run/bulkhead/control.sock"; }
  std::string search_path() const override { return "/bin"; }
  std::optional<std::string> variable(const std::string& name) const override {
    return name == "A" ? std::optional<std::string>("1") : std::nullopt;
  }
  Matches matching_files(const std::string&) const override { return {}; }
};

void require(bool condition) {
  if (!condition) std::abort();
}

void check_problem(const Problem& problem, std::string_view text) {
  require(!problem.message.empty());
  require(problem.text().find('\n') == std::string::npos);
  if (problem.file != "fuzz.json" || problem.line == 0) return;
  require(problem.column >= 1);
  std::size_t line_start = 0;
  for (std::uint32_t line = 1; line < problem.line; ++line) {
    line_start = text.find('\n', line_start);
    require(line_start != std::string_view::npos);
    ++line_start;
  }
  require(line_start + problem.column - 1 <= text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzHost host;
  // The only place where bytes become characters.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Loaded loaded = parse(text, "fuzz.json", "/", host);
  require(loaded.config.has_value() == loaded.problems.empty());
  for (const Problem& problem : loaded.problems) check_problem(problem, text);
  if (loaded.config) {
    const Loaded again = parse(loaded.effective, "fuzz.json", "/nowhere", host);
    require(again.config.has_value());
    require(again.effective == loaded.effective);
  }
  return 0;
}
