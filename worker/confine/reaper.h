// Process numbers of its own (pid_namespaces(7)) for a connection or a process. Three processes:
//
//   outside    the one whose pid is recorded. It waits, hands every signal on, and ends exactly as the program did:
//   with
//              its exit status, or killed by the same signal. If it is killed, the next one is too.
//   reaper     number 1 inside. It reaps whatever ends there, and its own end ends everything that is left inside.
//   program    number 2, in a process group of its own and in the session of the first.
//
// The first two hold no descriptor but a pipe between them, execute nothing and have no capability but CAP_KILL, where
// the program has another user.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/ipc/message.h"

namespace bulkhead::confine {

// What runs inside. All functions get `argument`, and none may return.
struct Inside {
  std::uint32_t spaces = 0;  // see spaces.h
  bool founded = false;      // in a user namespace
  bool gives_up = false;     // the program gets no capability, and has the user of this process
  bool kill_group = true;    // signals are for the program's group
  const char* root = "";     // of the mounts
  std::string_view title;    // of the first two
  void (*program)(void* argument) noexcept = nullptr;
  void (*fail)(void* argument, ipc::Failure failure) noexcept = nullptr;  // the step that failed before it
  void* argument = nullptr;
};

// For a process with a copy of its parent's memory, of which it may use everything. Never returns.
[[noreturn]] void run_inside(const Inside& inside) noexcept;

// Drops every capability of this process but these.
[[nodiscard]] ipc::Failure keep_only(std::uint64_t capabilities) noexcept;

// Whether it works, in a process that has founded its spaces.
[[nodiscard]] ipc::Failure try_pids(std::uint32_t spaces) noexcept;

}  // namespace bulkhead::confine
