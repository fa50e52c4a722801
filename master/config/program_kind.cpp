#include "master/config/program_kind.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "master/config/elf_layout.h"

namespace bulkhead::config {

namespace {

constexpr std::size_t kKernelHead = 256;  // BINPRM_BUF_SIZE: as much as the kernel reads of a first line
constexpr std::string_view kBlanks = " \t";

NoProgram no_program(std::string why) {
  return {std::move(why)};
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// `line`: what follows "#!".
ProgramKind script_of(std::string_view line) {
  const bool whole = line.find('\n') != std::string_view::npos || line.size() < kKernelHead - 2;
  line = line.substr(0, line.find('\n'));
  line = trimmed(line.substr(0, line.find('\0')));
  const std::size_t blank = line.find_first_of(kBlanks);
  if (!whole && blank == std::string_view::npos) return no_program("its first line is longer than the kernel reads");
  Script out;
  out.carriage_return = line.ends_with('\r');
  out.interpreter = line.substr(0, blank);
  if (blank != std::string_view::npos) out.argument = trimmed(line.substr(blank));
  if (out.interpreter.empty()) return no_program("its first line names no interpreter after \"#!\"");
  return out;
}

std::string loader_in(std::string_view head, const Bytes& bytes, const Layout& layout) {
  const std::uint64_t first = bytes.at(layout.headers_at, layout.word);
  const std::uint64_t size = bytes.at(layout.size_at, 2);
  for (std::uint64_t i = 0; i < bytes.at(layout.count_at, 2); ++i) {
    const std::uint64_t header = first + i * size;
    if (header >= head.size()) break;
    if (bytes.at(header, 4) != PT_INTERP) continue;
    const std::uint64_t offset = bytes.at(header + layout.offset_in, layout.word);
    const std::uint64_t length = bytes.at(header + layout.length_in, layout.word);
    if (offset >= head.size() || length == 0 || length > head.size() - offset) return "";
    return std::string(head.substr(offset, length - 1));
  }
  return "";
}

ProgramKind elf_of(std::string_view head) {
  if (head.size() < sizeof(Elf32_Ehdr)) return no_program("it is a damaged program: its header is incomplete");
  Elf out;
  out.wide = head[EI_CLASS] == ELFCLASS64;
  out.big_endian = head[EI_DATA] == ELFDATA2MSB;
  const Layout& layout = out.wide ? kWide : kNarrow;
  if (head.size() < layout.header) return no_program("it is a damaged program: its header is incomplete");
  const Bytes bytes(head, out.big_endian);
  out.type = static_cast<std::uint16_t>(bytes.at(offsetof(Elf64_Ehdr, e_type), 2));
  out.machine = static_cast<std::uint16_t>(bytes.at(offsetof(Elf64_Ehdr, e_machine), 2));
  if (out.type != ET_EXEC && out.type != ET_DYN) return no_program("it is an object file or a core dump, no program");
  out.interpreter = loader_in(head, bytes, layout);
  return out;
}

}  // namespace

ProgramKind kind_of_program(std::string_view head) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  head = head.substr(0, kProgramHead);
  if (head.empty()) return no_program("it is empty");
  if (head.starts_with(ELFMAG)) return elf_of(head);
  if (head.starts_with("#!")) return script_of(head.substr(2, kKernelHead - 2));
  if (head.starts_with(kByteOrderMark) && head.substr(kByteOrderMark.size()).starts_with("#!")) {
    return no_program("it begins with a byte order mark, and \"#!\" has to come first");
  }
  return no_program(
      "it is neither a program of this system nor a script, which begins with \"#!\" and its interpreter");
}

bool is_same_kind(const Elf& one, const Elf& other) {
  return one.machine == other.machine && one.wide == other.wide && one.big_endian == other.big_endian;
}

bool may_run(const Elf& own, const Elf& other) {
  constexpr std::array kCompatible{std::pair{EM_X86_64, EM_386}, std::pair{EM_AARCH64, EM_ARM},
                                   std::pair{EM_PPC64, EM_PPC}, std::pair{EM_SPARCV9, EM_SPARC}};
  if (own.big_endian != other.big_endian) return false;
  if (own.machine == other.machine) return true;
  return std::ranges::any_of(
      kCompatible, [&](const auto& pair) { return own.machine == pair.first && other.machine == pair.second; });
}

}  // namespace bulkhead::config
