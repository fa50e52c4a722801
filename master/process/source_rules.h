// A listener's rules about sources, from the configuration into the form in which they are applied: by the workers,
// which get them with the plan, and by the master for the connections that it has adopted.
#pragma once

#include "master/config/config.h"
#include "worker/admission/source_rules.h"
#include "worker/ipc/source_key.h"

namespace bulkhead::process {

[[nodiscard]] admission::Rate rate_of(const config::Rate& rate);
[[nodiscard]] admission::SourceRules source_rules(const config::Listener& listener);
[[nodiscard]] ipc::SourceKey source_key(const config::Network& network);
// Whether this client is exempt from penalties.
[[nodiscard]] bool exempt(const config::Penalties& penalties, const ipc::Peer& peer);

}  // namespace bulkhead::process
