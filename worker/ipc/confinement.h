// Describes a process before it runs foreign code: its user, root, directory, privileges and limits. Compiled by the
// master, every name resolved, so that the process that carries it out has nothing to look up. The two strings that
// belong to it, the root and the working directory, travel beside it.
//
// A worker settles into it once, before it accepts, and its children inherit that; each child takes on by itself what a
// worker could not work with (limits, a low priority). A process child does both, one after the other.
#pragma once

#include <cstdint>

namespace bulkhead::ipc {

inline constexpr std::uint32_t kMaxGroups = 256;
inline constexpr std::uint32_t kMaxLimits = 8;

struct ResourceLimit {
  std::uint32_t resource = 0;  // getrlimit(2)
  std::uint32_t reserved = 0;
  std::uint64_t value = 0;  // soft and hard
};

// What a connection or a process has for itself, a bit each, in the order of sandbox::Space (worker/confine/spaces.h).
inline constexpr std::uint32_t kPrivateTmp = 1;
inline constexpr std::uint32_t kPrivatePids = 2;
inline constexpr std::uint32_t kPrivateIpc = 4;
inline constexpr std::uint32_t kPrivateDevices = 8;
inline constexpr std::uint32_t kPrivateNetwork = 16;
inline constexpr std::uint32_t kMountingSpaces = kPrivateTmp | kPrivatePids | kPrivateDevices;

// Around what the Landlock scope is drawn.
enum class ScopeOf : std::uint32_t { connection, listener, off };

struct Confinement {
  std::uint32_t has_identity = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t group_count = 0;
  std::uint32_t groups[kMaxGroups] = {};
  std::uint32_t umask = 022;
  std::uint32_t no_new_privileges = 0;
  ScopeOf scope_of = ScopeOf::connection;
  std::uint32_t restricts_files = 0;  // the paths travel beside it
  std::uint32_t restricts_ports = 0;  // and so do the ports
  std::uint32_t mounts_nothing = 0;   // mount(2) is forbidden anyway
  std::uint32_t spaces = 0;           // kPrivateTmp and so on, of programs
  std::uint64_t capabilities = 0;     // that a user other than root keeps, a bit each
  std::uint32_t has_nice = 0;
  std::int32_t nice = 0;
  std::uint32_t ioprio = 0;  // as ioprio_set(2) takes it; 0: as it is
  std::uint32_t has_oom_score_adj = 0;
  std::int32_t oom_score_adj = 0;
  std::int32_t least_oom_score_adj = 0;  // without one: the daemon's, but at least this
  std::uint64_t soft_descriptors = 0;    // a child's soft RLIMIT_NOFILE, where its worker has a higher one; 0: the same
  std::uint32_t limit_count = 0;
  ResourceLimit limits[kMaxLimits];
};

}  // namespace bulkhead::ipc
