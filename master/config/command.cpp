#include "master/config/command.h"

#include <fmt/format.h>

#include "master/config/paths.h"

namespace bulkhead::config {
namespace {

// A program without a slash is looked for once, when the file is read: the path is a part of the configuration in
// effect, so an upgrade or a restart runs the same file. Empty: it is not there.
std::string path_of(const Context& context, const std::string& program) {
  if (program.find('/') != std::string::npos) return resolve_path(program, context.directory());
  return find_program(program, context.host().search_path());
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
  } else if (!context.root().empty() && !program.starts_with('/')) {
    blame(fmt::format("expected an absolute path inside the chroot, got {}", in_quotes(program)));
  } else if (const std::string path = path_of(context, program); path.empty()) {
    blame(fmt::format("no program {} in PATH; write its path", in_quotes(program)));
  } else {
    argv.front() = path;
    entry.effective.items.front().text = argv.front();
    const std::string problem = why_not_executable(argv.front(), context.root());
    if (problem.empty()) {
      context.mention(
          {Context::Mentioned::Kind::program, path, entry.value.items.front().at, child_pointer(entry.pointer(), 0)});
    } else {
      blame(fmt::format("cannot execute {}: {}", in_quotes(argv.front()), problem));
    }
  }
  return argv;
}

}  // namespace bulkhead::config
