// The running children, for another program that continues with them: workers, processes, what is left of them, and
// adopted connections. Descriptors are numbers here, and the code that resumes a struct takes over the descriptors that
// it names.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "master/process/child_end.h"
#include "master/process/group_end.h"
#include "master/supervision/event.h"

namespace bulkhead::process {

// A worker's lines that the master passes on.
struct LinesHandover {
  std::string path;  // the worker's
  int fd = -1;       // -1: it has ended
  std::string line;  // the part of the next one that has come
  bool dropping = false;
};

struct WorkerHandover {
  supervision::NodeId node = 0;
  supervision::RunId run = 0;
  std::string path;
  std::uint32_t index = 0;
  std::uint32_t generation = 1;
  std::uint64_t incarnation = 1;
  pid_t pid = -1;
  std::uint32_t state = 0;  // WorkerProcess::State
  bool retiring = false;
  bool drained = false;
  std::uint64_t in_hand = 0;
  std::optional<std::uint32_t> user;  // that its connections run as; nothing: any
  std::string failure;
  std::optional<supervision::Instant> start_deadline;
  std::optional<supervision::Instant> unanswered_since;
  int channel = -1;
  LinesHandover lines;
};

struct StreamHandover {
  int fd = -1;                      // -1: it has ended
  std::vector<std::uint8_t> bytes;  // read, and not logged yet
  bool in_long = false;             // they continue a long line
  std::string file_path;            // empty: it goes to the log
  int file = -1;
};
struct OutputHandover {
  StreamHandover out;
  StreamHandover error;
  std::string unsent;  // lines that the log has had no room for
};

struct ProcessHandover {
  supervision::NodeId node = 0;
  supervision::RunId run = 0;
  std::string path;
  pid_t pid = -1;
  std::uint32_t state = 0;  // ProcessChild::State
  bool stopping = false;
  bool watchdog_expired = false;
  bool closed_notify_fd = false;
  std::string failure;
  std::string status;
  std::optional<supervision::Instant> start_deadline;
  std::optional<supervision::Instant> watchdog_deadline;
  GroupEndHandover group;
  bool timed_out = false;
  std::optional<ChildEnd> ended;
  int report = -1;
  int notify = -1;
  OutputHandover output;
};

struct RemainsHandover {
  std::string path;
  supervision::Instant deadline{};
  OutputHandover output;
};

// The pair of a worker index for the standard error of handlers.
struct ErrorsHandover {
  std::string listener;
  std::uint32_t index = 0;
  int read = -1;
  int write = -1;
};

// Penalties that are to be forgiven, which the listener's next worker carries out (ipc::Forgive).
struct ForgiveHandover {
  std::string listener;
  std::uint16_t family = 0;  // of the prefix, an ipc::SourceKey
  std::uint16_t bits = 0;
  std::vector<std::uint8_t> address;
};

// Adopted connections, and what is left of the groups of those that have ended.
struct AdoptedHandover {
  pid_t pid = 0;
  std::string listener;
  std::uint32_t slot = 0;
  std::uint32_t use = 0;
  std::optional<std::uint32_t> user;  // that it may be signalled as; nothing: any
  bool asked = false;
  std::uint32_t lifetime = 0;  // ipc::Lifetime
  std::uint32_t cause = 0;     // ipc::EndCause
  std::int64_t deadline_ns = 0;
};
struct LingeringHandover {
  std::string listener;
  std::uint32_t slot = 0;
  std::uint64_t word = 0;  // worker/ipc/master_word.h: how the connection ended
  pid_t group = 0;
  std::optional<std::uint32_t> user;
  std::int64_t deadline_ns = 0;
};
struct ParkedHandover {
  pid_t pid = 0;
  int wait_status = 0;
  std::int64_t until_ns = 0;
};
struct AdoptionHandover {
  std::vector<AdoptedHandover> adopted;
  std::vector<LingeringHandover> lingering;
  std::vector<ParkedHandover> parked;
};

struct ChildrenHandover {
  std::vector<WorkerHandover> workers;
  std::vector<LinesHandover> lines;  // of workers that are gone
  std::vector<ProcessHandover> processes;
  std::vector<RemainsHandover> remains;
  std::vector<ErrorsHandover> errors;
  AdoptionHandover adoption;
  std::vector<ForgiveHandover> forgive;
};

}  // namespace bulkhead::process
