// Who may use a file, and what kind of program the first bytes of a file are: both without a file.
#include "master/config/permission.h"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <string_view>

#include "master/config/program_kind.h"

namespace bulkhead::config {
namespace {

const Who kRoot{"root", 0, 0, {}};
const Who kOwner{"alice", 1000, 1000, {}};
const Who kMember{"bob", 1001, 1001, {7, 2000}};
const Who kStranger{"nobody", 65534, 65534, {}};

FileFacts file(mode_t mode) {
  return {S_IFREG | mode, 1000, 2000};
}

TEST_CASE("the first class that fits decides, even if a later one would grant more") {
  CHECK(may(kOwner, file(0700), Access::execute));
  CHECK_FALSE(may(kOwner, file(0077), Access::execute));
  CHECK(may(kMember, file(0070), Access::read));
  CHECK_FALSE(may(kMember, file(0707), Access::write));
  CHECK(may(kStranger, file(0007), Access::write));
  CHECK_FALSE(may(kStranger, file(0770), Access::read));
}

TEST_CASE("the primary group counts like a supplementary one") {
  CHECK(may({"carol", 1002, 2000, {}}, file(0040), Access::read));
}

TEST_CASE("root may do everything, except execute a file that nobody may execute") {
  CHECK(may(kRoot, file(0), Access::write));
  CHECK(may(kRoot, file(0), Access::read));
  CHECK_FALSE(may(kRoot, file(0666), Access::execute));
  CHECK(may(kRoot, file(0010), Access::execute));
  CHECK(may(kRoot, {S_IFDIR, 1000, 2000}, Access::execute));
}

TEST_CASE("an access control list may grant what its mask allows") {
  FileFacts with_list = file(0750);
  with_list.has_acl = true;
  CHECK(may(kStranger, with_list, Access::execute));
  CHECK_FALSE(may(kStranger, with_list, Access::write));
  CHECK(may(kOwner, with_list, Access::write));
}

Script script(std::string_view text) {
  const ProgramKind kind = kind_of_program(text);
  REQUIRE(std::holds_alternative<Script>(kind));
  return std::get<Script>(kind);
}

bool is_no_program(std::string_view text) {
  return std::holds_alternative<NoProgram>(kind_of_program(text));
}

TEST_CASE("the first line of a script is its interpreter and one argument") {
  CHECK(script("#!/bin/sh\necho\n").interpreter == "/bin/sh");
  CHECK(script("#!/bin/sh").interpreter == "/bin/sh");
  CHECK(script("#! \t/usr/bin/env  -S a b \t\n").interpreter == "/usr/bin/env");
  CHECK(script("#! \t/usr/bin/env  -S a b \t\n").argument == "-S a b");
  CHECK_FALSE(script("#!/bin/sh -e\n").carriage_return);
}

TEST_CASE("a carriage return belongs to the line") {
  CHECK(script("#!/bin/sh\r\n").carriage_return);
  CHECK(script("#!/usr/bin/env python3\r\n").carriage_return);
  CHECK_FALSE(script("#!/bin/sh\necho\r\n").carriage_return);
}

TEST_CASE("what the kernel does not execute is no program") {
  CHECK(is_no_program(""));
  CHECK(is_no_program("echo hello\n"));
  CHECK(is_no_program("#!\n"));
  CHECK(is_no_program("#!   "));
  CHECK(is_no_program("\xEF\xBB\xBF#!/bin/sh\n"));
  CHECK(is_no_program(" #!/bin/sh\n"));
  CHECK(is_no_program("#!/" + std::string(300, 'x')));
  CHECK(
      is_no_program("\x7F"
                    "ELF"));
}

std::string program(std::uint16_t machine, std::uint16_t type, std::string_view loader = "") {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = machine;
  header.e_type = type;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = loader.empty() ? PT_LOAD : PT_INTERP;
  segment.p_offset = sizeof header + sizeof segment;
  segment.p_filesz = loader.size() + 1;
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  return out.append(loader).append(1, '\0');
}

TEST_CASE("a program names its processor and its dynamic loader") {
  const ProgramKind kind = kind_of_program(program(EM_X86_64, ET_DYN, "/lib64/ld.so"));
  REQUIRE(std::holds_alternative<Elf>(kind));
  CHECK(std::get<Elf>(kind).machine == EM_X86_64);
  CHECK(std::get<Elf>(kind).interpreter == "/lib64/ld.so");
  CHECK(std::get<Elf>(kind_of_program(program(EM_AARCH64, ET_EXEC))).interpreter.empty());
  CHECK(is_no_program(program(EM_X86_64, ET_REL)));
  CHECK(is_no_program(program(EM_X86_64, ET_CORE)));
}

TEST_CASE("a header that lies about its sizes is read without harm") {
  std::string text = program(EM_X86_64, ET_DYN, "/lib64/ld.so");
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = '\xFF';
    (void)kind_of_program(changed);
    (void)kind_of_program(text.substr(0, i));
  }
  CHECK_FALSE(is_no_program(text));
}

TEST_CASE("a kernel runs its own programs, and perhaps those of its 32-bit predecessor") {
  const auto elf = [](std::uint16_t machine) { return std::get<Elf>(kind_of_program(program(machine, ET_DYN))); };
  CHECK(may_run(elf(EM_X86_64), elf(EM_X86_64)));
  CHECK(may_run(elf(EM_X86_64), elf(EM_386)));
  CHECK_FALSE(may_run(elf(EM_386), elf(EM_X86_64)));
  CHECK_FALSE(may_run(elf(EM_X86_64), elf(EM_AARCH64)));
}

}  // namespace
}  // namespace bulkhead::config
