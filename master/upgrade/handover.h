// Everything that a master hands to the program that continues as the same process (bulkheadd(8), "Upgrading"), as
// values; and the text in which it travels:
//
//   bulkhead-state FORMAT READER LENGTH CRC32C\n    READER: the oldest format whose readers understand this text
//   {…}\n                                           one JSON object
//   SEQ EVENT PATH {…}\n                            the event ring, oldest first
//
// A reader ignores members that it does not know, and refuses a text in which one that it needs is missing or of
// another type. LENGTH and CRC32C are of what follows the first line. Pure: descriptors are numbers here.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/host/service_manager.h"
#include "master/journal/event_ring.h"
#include "master/journal/handover.h"
#include "master/net/handover.h"
#include "master/procedure/handover.h"
#include "master/process/handover.h"
#include "master/running/catalogue.h"
#include "master/running/uid_ledger.h"
#include "master/supervision/tree_state.h"
#include "master/upgrade/clients_handover.h"
#include "master/upgrade/identities.h"

namespace bulkhead::upgrade {

inline constexpr std::uint32_t kHandoverFormat = 1;
inline constexpr std::uint32_t kHandoverReader = 1;

// The settings of the configuration after the command line has been applied.
struct Settled {
  std::uint32_t log_level = 0;
  std::string log_target;
  std::string pid_file;
  std::string control_socket;
};

// Shows that a descriptor still refers to the same file or socket: SO_COOKIE of a socket, device and inode of any
// other.
struct DescriptorIdentity {
  int fd = -1;
  std::string identity;
};

// A reload that waits to be confirmed (reload/confirmation.h), and what it goes back to otherwise.
struct UnconfirmedHandover {
  std::string config;  // as --dump-config prints it
  supervision::Duration limit{};
  supervision::Instant until{};
  std::vector<IdentityHandover> identities;
  std::vector<VariablesHandover> variables;
};

// A reload that is asked for and has not begun.
struct WishesHandover {
  bool reset = false;
  std::optional<supervision::Duration> confirm;
};

struct Handover : process::ChildrenHandover {
  std::string version;  // of the program that wrote it
  int pid = 0;
  std::string program;  // its path, since the first start
  std::uint32_t worker_protocol = 0;
  std::string config_file;
  std::string config;  // in effect, as --dump-config prints it
  Settled settled;
  std::uint32_t generation = 1;
  std::uint32_t next_listener = 0;
  supervision::Instant started{};
  std::string last_reload;   // as JSON
  std::string last_upgrade;  // as JSON; "null": there was none
  // Counts programs; a worker carries the number of the program that started it.
  std::uint64_t incarnation = 1;  // of the program that wrote it
  int own_program = -1;           // of the program that wrote it, to be executed again if necessary
  int worker_program = -1;        // its worker programs
  int module_worker_program = -1;
  int log_lines = -1;
  int log_handlers = -1;
  int pid_file = -1;
  host::ServiceManager::Handover services;
  std::vector<net::InheritedHandover> inherited;
  upgrade::ServerHandover control;
  std::vector<running::AddedChild> added;    // by operators
  std::vector<running::AddedChild> leaving;  // removed by a reload, and not at their end
  running::OverridesRecord overrides;
  std::vector<IdentityHandover> identities;  // of all of these
  std::vector<running::PoolRecord> pools;
  std::vector<VariablesHandover> variables;
  std::vector<procedure::OperationHandover> operations;
  std::vector<procedure::EndingHandover> endings;
  bool reload_asked = false;  // and not begun
  std::optional<WishesHandover> reload_wishes;
  std::optional<UnconfirmedHandover> unconfirmed;
  supervision::TreeState tree;
  std::vector<net::ListenerHandover> listeners;
  std::vector<journal::RunHandover> runs;
  std::uint64_t descriptor_limit = 0;  // the soft limit at the first start (host/descriptor_limit.h)
  std::uint64_t last_seq = 0;
  std::vector<DescriptorIdentity> descriptors;  // all descriptors that are named above
  std::deque<journal::EventRecord> events;
};

[[nodiscard]] std::string encode(Handover& handover);
// Returns the problem of the text, as a sentence for people; empty: none. Never throws, for any bytes.
[[nodiscard]] std::string decode(std::string_view text, Handover& out) noexcept;

// Visits every descriptor that is named, except in `descriptors`; -1 means none. `visit` may change it.
void for_each_descriptor(Handover& handover, const std::function<void(int& fd)>& visit);

}  // namespace bulkhead::upgrade
