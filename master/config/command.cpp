#include "master/config/command.h"

#include <fmt/format.h>

#include "master/config/paths.h"

namespace bulkhead::config {
namespace {

// No search path is used: which program runs, and as which user, must not depend on the environment of the shell that
// started the daemon.
std::string bare_name(const Host& host, const std::string& program) {
  const std::string message = fmt::format("expected the path of a program, got {}; ", in_quotes(program));
  const std::string found = find_program(program, host.search_path());
  if (!found.empty()) return message + fmt::format("write {}", in_quotes(found));
  return message + "write an absolute path";
}

}  // namespace

std::vector<std::string> read_command(Context& context, const Entry& entry) {
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    const Value& item = entry.value.items[i];
    if (item.kind == Value::Kind::string) continue;
    context.report(item.at, child_pointer(entry.pointer(), i), "expected a string, got " + describe(item));
  }
  std::vector<std::string> argv = as_strings(entry.value);
  if (entry.value.items.front().kind != Value::Kind::string) return argv;
  const std::string& program = argv.front();
  const auto blame = [&](std::string message) {
    context.report(entry.value.items.front().at, child_pointer(entry.pointer(), 0), std::move(message));
  };
  if (program.empty()) {
    blame("expected the path of a program, got an empty string");
  } else if (program.find('/') == std::string::npos) {
    blame(bare_name(context.host(), program));
  } else if (!context.root().empty() && !program.starts_with('/')) {
    blame(fmt::format("expected an absolute path inside the chroot, got {}", in_quotes(program)));
  } else {
    argv.front() = resolve_path(program, context.directory());
    entry.effective.items.front().text = argv.front();
    const std::string problem = why_not_executable(argv.front(), context.root());
    if (!problem.empty()) blame(fmt::format("cannot execute {}: {}", in_quotes(argv.front()), problem));
  }
  return argv;
}

}  // namespace bulkhead::config
