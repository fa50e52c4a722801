// What a sandbox forbids, as the configuration says it. Pure values; `filter.h` compiles the part about system calls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/ipc/confinement.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::sandbox {

enum class Preset : std::uint8_t { basic, none, strict };
inline constexpr sys::EnumWords<Preset, sys::up_to(Preset::strict)> kPresetWords{"basic", "none", "strict"};

// Around what the Landlock domain for signals and abstract sockets is drawn.
using ipc::ScopeOf;
inline constexpr sys::EnumWords<ScopeOf, sys::up_to(ScopeOf::off)> kScopeOfWords{"connection", "listener", "off"};

enum class CallList : std::uint8_t { any, common, server };
inline constexpr sys::EnumWords<CallList, sys::up_to(CallList::server)> kCallListWords{"any", "common", "server"};

// The answer to a call that is forbidden: an error, the end of the process, or nothing but a line in the system's log.
enum class Then : std::uint8_t { eperm, kill, log };
inline constexpr sys::EnumWords<Then, sys::up_to(Then::log)> kThenWords{"EPERM", "kill", "log"};

struct SystemCalls {
  CallList list = CallList::any;
  std::vector<std::string> allow;  // although the list forbids it
  std::vector<std::string> deny;   // although the list allows it
  Then then = Then::eperm;
  bool operator==(const SystemCalls&) const = default;
};

// What a connection or a process has for itself. The bits are ipc::kPrivateTmp and so on.
enum class Space : std::uint8_t { tmp, pids, ipc, devices, network };
inline constexpr sys::EnumWords<Space, sys::up_to(Space::network)> kSpaceWords{"tmp", "pids", "ipc", "devices",
                                                                               "network"};

// Which files may be reached; everything else gets EACCES. All three empty and `others` readable: any.
struct Files {
  std::vector<std::string> read;     // absolute, inside the root
  std::vector<std::string> write;    // read and changed
  std::vector<std::string> execute;  // read and executed
  bool restricted = false;
  bool others_readable = false;
  bool operator==(const Files&) const = default;
};

// The ports of TCP to which connections may be made, and on which may be listened, where not all are allowed.
struct Ports {
  std::vector<std::uint16_t> connect;
  std::vector<std::uint16_t> bind;
  bool restricted = false;
  bool operator==(const Ports&) const = default;
};

struct Policy {
  Preset preset = Preset::basic;
  bool new_privileges = false;     // neither no_new_privs, nor what needs it: filter, scope and files
  std::uint64_t capabilities = 0;  // that are kept, a bit each
  ScopeOf scope = ScopeOf::connection;
  SystemCalls calls;
  Files files;
  bool network = true;  // false: of new sockets only those of AF_UNIX
  Ports ports;
  std::uint32_t spaces = 0;      // of its own, a bit each
  bool asks_for_spaces = false;  // they are not only part of the preset
  bool write_execute = true;     // false: no memory that is writable and executable, nor one after the other
  bool operator==(const Policy&) const = default;
};

}  // namespace bulkhead::sandbox
