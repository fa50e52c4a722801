#include "master/config/runnable.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "master/config/file_head.h"
#include "master/config/json_value.h"
#include "master/config/library_need.h"
#include "master/config/paths.h"
#include "master/config/program_kind.h"
#include "master/config/reach.h"

namespace bulkhead::config {

namespace {

constexpr int kMostInterpreters = 5;  // as many scripts as the kernel follows, one the interpreter of the other

// The kind of this process's own program: what this kernel runs for certain.
const Elf& own_kind() {
  static const Elf own = [] {
    const auto head = head_of("/proc/self/exe");
    const ProgramKind kind = kind_of_program(head.value_or(""));
    const auto* elf = std::get_if<Elf>(&kind);
    return elf != nullptr ? *elf : Elf{};
  }();
  return own;
}

// Whether the kernel has been told of other kinds of programs (binfmt_misc).
bool knows_other_kinds() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/sys/fs/binfmt_misc", error)) {
    if (entry.path().filename() != "register" && entry.path().filename() != "status") return true;
  }
  return false;
}

std::string foreign(const Elf& elf) {
  if (may_run(own_kind(), elf) || knows_other_kinds()) return "";
  return fmt::format("it is a program for another kind of processor (ELF machine {}, this system has {})", elf.machine,
                     own_kind().machine);
}

class Looking {
 public:
  explicit Looking(const Runner& runner) : runner_(runner) {}

  std::string why_not(const std::string& path, int depth = 0) {
    Reached reached = reach(path, runner_.root, runner_.who, Access::execute);
    if (!reached.problem.empty() || !reached.file) return reached.problem;
    struct stat status {};
    if (fstat(reached.file.get(), &status) != 0) return "";
    if (!S_ISREG(status.st_mode)) return "not a regular file";
    if (depth == 0) look_at_privileges(reached.file, status);
    const auto head = head_of(by_descriptor(reached.file.get()));
    if (!head) return "";
    const ProgramKind kind = kind_of_program(*head);
    if (const auto* nothing = std::get_if<NoProgram>(&kind)) return knows_other_kinds() ? "" : nothing->why;
    if (const auto* elf = std::get_if<Elf>(&kind)) return why_not_elf(path, reached.file, *elf, depth);
    return why_not_script(path, std::get<Script>(kind), depth);
  }

  std::string doubt, missing;

 private:
  std::string why_not_elf(const std::string& path, const sys::Fd& file, const Elf& elf, int depth) {
    if (std::string why = foreign(elf); !why.empty()) return why;
    if (elf.interpreter.empty()) return "";
    const Reached loader = reach(inside(elf.interpreter), runner_.root, runner_.who, Access::execute);
    if (!loader.problem.empty()) {
      return fmt::format("its dynamic loader {} cannot be used: {}", in_quotes(elf.interpreter), loader.problem);
    }
    if (!may_run(own_kind(), elf) || !is_of_glibc(elf.interpreter, loader.file)) return "";
    const std::string need = missing_libraries(file, elf, origin_of(file, runner_.root), runner_);
    if (need.empty()) return "";
    missing = depth == 0 ? "it " + need : fmt::format("its interpreter {} {}", in_quotes(path), need);
    return "";
  }

  std::string why_not_script(const std::string& path, const Script& script, int depth) {
    if (depth == kMostInterpreters) return "its interpreters are scripts, more than the kernel follows";
    if (script.carriage_return) {
      return fmt::format(
          "its first line ends in a carriage return, which the kernel takes for a part of {} (save it with the line "
          "ends of Unix)",
          in_quotes("#!" + script.interpreter + (script.argument.empty() ? "" : " " + script.argument)));
    }
    if (std::string why = why_not(inside(script.interpreter), depth + 1); !why.empty()) {
      return fmt::format("its interpreter {} cannot be executed: {}", in_quotes(script.interpreter), why);
    }
    // The interpreter opens the script by its name.
    std::string why = reach(path, runner_.root, runner_.who, Access::read).problem;
    if (!why.empty()) return fmt::format("its interpreter cannot read it: {}", why);
    look_for_command(script);
    return "";
  }

  // `#!/usr/bin/env NAME` looks for the program in PATH only when it is started.
  void look_for_command(const Script& script) {
    const bool plain = !script.argument.empty() && !script.argument.starts_with('-') &&
                       script.argument.find_first_of("/= \t") == std::string::npos;
    if (!script.interpreter.ends_with("/env") || !plain || runner_.search_path.empty() || !runner_.root.empty()) return;
    if (!find_program(script.argument, runner_.search_path).empty()) return;
    doubt = fmt::format("no program {} in its PATH {}, where its first line looks for it", in_quotes(script.argument),
                        in_quotes(runner_.search_path));
  }

  void look_at_privileges(const sys::Fd& file, const struct stat& status) {
    if (!runner_.no_new_privileges || runner_.who.uid == 0) return;
    const bool user = (status.st_mode & S_ISUID) != 0 && status.st_uid != runner_.who.uid;
    const bool group = (status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0;
    const bool capabilities = getxattr(by_descriptor(file.get()).c_str(), "security.capability", nullptr, 0) > 0;
    if (!user && !group && !capabilities) return;
    doubt =
        fmt::format("it has {}, which has no effect with \"sandbox\": \"basic\"", user    ? "the set-user-ID bit"
                                                                                  : group ? "the set-group-ID bit"
                                                                                          : "capabilities of its own");
  }

  // A relative path of an interpreter is relative to the working directory.
  std::string inside(const std::string& path) const { return resolve_path(path, runner_.directory); }

  const Runner& runner_;
};

}  // namespace

Prospect prospect_of(const std::string& program, const Runner& runner) {
  Looking looking(runner);
  std::string problem = looking.why_not(program);
  return {std::move(problem), std::move(looking.doubt), std::move(looking.missing)};
}

Prospect prospect_of_library(const std::string& path, const Runner& runner) {
  const Reached reached = reach(path, "", runner.who, Access::read);
  if (!reached.problem.empty() || !reached.file) return {reached.problem};
  const auto head = head_of(by_descriptor(reached.file.get()));
  if (!head) return {};
  const ProgramKind kind = kind_of_program(*head);
  const auto* elf = std::get_if<Elf>(&kind);
  if (elf == nullptr || elf->type != ET_DYN) return {"it is no shared library"};
  const Elf& own = own_kind();
  if (!is_same_kind(*elf, own)) return {"it is a library for another kind of processor"};
  if (!is_of_glibc(own.interpreter, sys::Fd())) return {};
  const std::string need = missing_libraries(reached.file, *elf, directory_of(path), runner);
  return {"", "", need.empty() ? "" : "it " + need};
}

}  // namespace bulkhead::config
