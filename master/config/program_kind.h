// What kind of program a file is, by its first bytes, as execve(2) looks at them. Pure: it reads nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace bulkhead::config {

inline constexpr std::size_t kProgramHead = 4096;  // how many bytes of a file are needed

struct Script {
  std::string interpreter;
  std::string argument;          // the rest of the line: one argument, or empty
  bool carriage_return = false;  // the line ends in one, which the kernel takes for a part of the line
};

struct Elf {
  std::uint16_t machine = 0;
  std::uint16_t type = 0;
  bool wide = false;  // 64 bits
  bool big_endian = false;
  std::string interpreter;  // the dynamic loader; empty: none, or beyond the head
};

// Why the kernel takes it for no program at all, as the end of a sentence.
struct NoProgram {
  std::string why;
};

using ProgramKind = std::variant<Script, Elf, NoProgram>;

// `head`: the first kProgramHead bytes, or the whole file if it is shorter.
[[nodiscard]] ProgramKind kind_of_program(std::string_view head);

// Whether both can be parts of one process.
[[nodiscard]] bool is_same_kind(const Elf& one, const Elf& other);

// Whether a kernel that runs `own` programs may run `other`. True where only the kernel's own options decide, as for
// 32-bit programs on a 64-bit system.
[[nodiscard]] bool may_run(const Elf& own, const Elf& other);

}  // namespace bulkhead::config
