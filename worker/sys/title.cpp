#include "worker/sys/title.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace bulkhead::sys {

namespace {

char* area = nullptr;
std::size_t room = 0;
char* moved_environment = nullptr;

}  // namespace

void Title::init(int argc, char** argv, const char* comm) noexcept {
  prctl(PR_SET_NAME, comm);
  if (argc < 1 || argv[0] == nullptr) return;
  // The kernel lays the arguments out one after another (proc(5), /proc/pid/cmdline).
  char* end = argv[0];
  for (int i = 0; i < argc && argv[i] == end; ++i) end += std::strlen(argv[i]) + 1;
  area = argv[0];
  room = static_cast<std::size_t>(end - area);
}

void Title::use_environment_too() noexcept {
  if (room == 0) return;
  char* const end = area + room;
  std::size_t size = 0;
  for (char** variable = environ; *variable == end + size; ++variable) size += std::strlen(*variable) + 1;
  moved_environment = static_cast<char*>(std::malloc(size));
  if (moved_environment == nullptr) return;
  std::memcpy(moved_environment, end, size);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (*variable >= end && *variable < end + size) *variable = moved_environment + (*variable - end);
  }
  room += size;
}

[[gnu::hot]] void Title::set(std::string_view title) noexcept {
  if (room == 0) return;
  // The last byte stays NUL: otherwise the kernel takes the environment for a part of the title.
  const std::size_t length = title.size() < room - 1 ? title.size() : room - 1;
  // Byte by byte, and kept so from the compiler: a child would fault in the library's pages for memcpy and memset.
  for (std::size_t i = 0; i < room; ++i) {
    area[i] = i < length ? title[i] : '\0';
    asm volatile("");
  }
}

}  // namespace bulkhead::sys
