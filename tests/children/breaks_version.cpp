// A daemon that passes its dry run and then does not survive taking over, or one from the future. The file "breaks"
// beside it says when and how:
//   main HOW       in the first lines of main()
//   begin HOW      everything that came has been checked and copied
//   end HOW        everything is taken over except the answer to the client that waits for it
//   writes format  its state is for readers of a later format
//   writes workers its workers speak a later protocol
// HOW is SEGV, ABRT, overflow (of the stack), or hang; at the beginning also fails.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "master/version.h"
#include "worker/admission/crc32c.h"
#include "worker/ipc/message.h"

namespace {

constexpr int kSetChildSubreaper = 36;  // prctl(2): the first deed with the state
constexpr int kGetChildSubreaper = 37;

// NOLINTNEXTLINE(misc-no-recursion): without end
[[gnu::noinline]] int recurse(volatile char* above) {
  volatile char frame[4096];
  frame[0] = *above;
  return frame[0] != 0 ? 0 : recurse(frame) + frame[0];
}

void break_now(const std::string& how) {
  volatile char first = 0;
  if (how == "SEGV") *static_cast<volatile int*>(nullptr) = 1;
  if (how == "ABRT") std::abort();
  if (how == "overflow") _exit(recurse(&first));
  for (;;) pause();
}

bool takes_over() {
  std::ifstream file("/proc/self/cmdline");
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  return line.find("--adopt=") != std::string::npos && line.find("--dry-run") == std::string::npos;
}

// The word of the file for this step; empty: none.
std::string wish(const std::string& about) {
  std::ifstream file(std::filesystem::read_symlink("/proc/self/exe").parent_path() / "breaks");
  std::string word;
  std::string how;
  file >> word >> how;
  return word == about ? how : "";
}

void maybe_break(const std::string& when) {
  if (!takes_over()) return;
  const std::string how = wish(when);
  if (!how.empty() && how != "fails") break_now(how);
}

constexpr std::string_view kFormat = "bulkhead-state 1 1 ";

void replace(std::string& text, std::string_view old, std::string_view present) {
  const std::size_t at = text.find(old);
  if (at != std::string::npos && old.size() == present.size()) text.replace(at, old.size(), present);
}

// The state as a later program would write it: as long as ours.
std::string of_the_future(std::string text) {
  const std::string what = wish("writes");
  if (what == "format") replace(text, kFormat, "bulkhead-state 2 2 ");
  if (what != "workers") return text;
  const std::string key = "\"worker_protocol\":";
  replace(text, key + std::to_string(bulkhead::ipc::kProtocolVersion), key + "9");
  const std::size_t body = text.find('\n') + 1;
  char sum[9];
  std::snprintf(sum, sizeof sum, "%08x",
                bulkhead::admission::Crc32c().add(std::string_view(text).substr(body)).value());
  text.replace(body - 9, 8, sum);
  return text;
}

}  // namespace

const char* bulkhead::version() noexcept {
  maybe_break("main");
  return "breaks";
}

// In place of the C library's.
extern "C" int prctl(int option, ...) {
  va_list more;
  va_start(more, option);
  unsigned long arguments[4];
  for (unsigned long& one : arguments) one = va_arg(more, unsigned long);
  va_end(more);
  if (option == kSetChildSubreaper) maybe_break("begin");
  if (option == kGetChildSubreaper && takes_over() && wish("begin") == "fails") return -1;
  return static_cast<int>(syscall(SYS_prctl, option, arguments[0], arguments[1], arguments[2], arguments[3]));
}

extern "C" int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  if (level == SOL_SOCKET && name == SO_PEERCRED) maybe_break("end");
  return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, length));
}

extern "C" ssize_t write(int fd, const void* data, size_t length) {
  const std::string_view text(static_cast<const char*>(data), length);
  if (!text.starts_with(kFormat)) return syscall(SYS_write, fd, data, length);
  return syscall(SYS_write, fd, of_the_future(std::string(text)).data(), length);
}
