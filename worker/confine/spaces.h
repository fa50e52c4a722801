// Namespaces of its own for a connection or a process (namespaces(7)): the network, System V IPC, an empty /tmp, a /dev
// with nothing but harmless devices, and process numbers (reaper.h).
//
// They need CAP_SYS_ADMIN. A worker that kept the system's would be root's equal while it reads what clients send, so
// before it gives up root it founds a user namespace with all users of the system in it, and keeps CAP_SYS_ADMIN over
// nothing but that. A daemon that is not root founds one with its own user only. A user namespace is made once for each
// worker, not for each connection, and belongs to root, so that nobody else has a right over it. A connection
// gives up these capabilities too, before it executes anything; from then on no capability can be had in it, not even
// by a program of root.
//
// A mount of a connection must not be hindered by a Landlock domain of its worker, which then has none.
//
// Async-signal-safe, allocates nothing; enter_spaces() and give_up_spaces() are allowed between clone(CLONE_VM) and
// exec.
#pragma once

#include <cstdint>

#include "worker/ipc/confinement.h"
#include "worker/ipc/message.h"

namespace bulkhead::confine {

// The capabilities that a worker keeps for its children, over its user namespace.
[[nodiscard]] std::uint64_t capabilities_for_spaces() noexcept;

// Whether this process has CAP_SYS_ADMIN, and needs to found nothing.
[[nodiscard]] bool may_make_spaces() noexcept;

// For a worker, before it changes its root and its user. Makes a process and waits for it.
[[nodiscard]] ipc::Failure found_spaces(std::uint32_t spaces, const char* root) noexcept;

// For a child. `founded`: its worker has founded them. `root`: "" if it is in its root already. Of kPrivatePids only
// /proc, for a process that has its own numbers already.
[[nodiscard]] ipc::Failure enter_spaces(std::uint32_t spaces, bool founded, const char* root) noexcept;

// Every capability, for good.
[[nodiscard]] ipc::Failure give_up_spaces() noexcept;

// Tries all of it in a process of its own, as this user. `error` of the result is why it would fail.
[[nodiscard]] ipc::Failure try_spaces(std::uint32_t spaces) noexcept;

}  // namespace bulkhead::confine
