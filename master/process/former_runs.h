// What a killed master's process children left behind, found and ended by the next master before it starts its first
// child. Blocks: for the start only.
//
// None of it is our child, so that nothing pins a pid. A group is believed to be the recorded one if its leader lives
// and has the recorded start time; or if some member of it, in the leader's session, began before the file was last
// true: as long as that member lives, the kernel gives the number to nobody else. Everything is signalled through a
// descriptor of its process (pidfd_open(2)) that was opened before the process was looked at, so that no signal can
// reach another one. What cannot be verified is left alone, and reported.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "master/process/process_facts.h"
#include "master/process/runs_file.h"

namespace bulkhead::process {

// The living members of the recorded group among `all`; nothing: there may be some, but the number could be another
// group's by now. Pure.
[[nodiscard]] std::optional<std::vector<ProcessFacts>> members_of(const GroupRecord& group, std::uint64_t seen,
                                                                  const std::vector<ProcessFacts>& all);

// The children of recorded workers that live: the connections of the previous daemon. Pure.
struct FormerConnections {
  std::uint32_t workers = 0;
  std::uint32_t connections = 0;
};
[[nodiscard]] FormerConnections connections_of(const std::vector<WorkerRecord>& workers,
                                               const std::vector<ProcessFacts>& all);

// Ends the groups: the stop signal and CONT, KILL after the patience of each, which is at most 30 s here. Logs what it
// does.
void end_former_groups(const Runs& runs);
// Reads the file of the previous daemon, ends what it left running, reports its connections, and removes the file.
// Returns the workers of previous daemons that live, for the next file.
[[nodiscard]] std::vector<WorkerRecord> clear_up_after_former_life(const RunsFile& file);

[[nodiscard]] bool lives(const WorkerRecord& worker) noexcept;
// How many children it has.
[[nodiscard]] std::uint32_t children_of(const WorkerRecord& worker) noexcept;

}  // namespace bulkhead::process
