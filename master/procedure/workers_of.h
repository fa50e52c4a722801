// The workers of a listener in the tree: entries "1" to "N", with gaps where workers have been removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "master/running/catalogue.h"
#include "master/running/engine.h"

namespace bulkhead::procedure {

// Their numbers, ascending; empty: there is no such listener, or it is stopped.
[[nodiscard]] std::vector<std::uint32_t> worker_numbers(const running::Engine& engine, const std::string& listener);

// The child spec of such a worker.
[[nodiscard]] supervision::ChildSpec spec_of_worker(const running::Engine& engine, const std::string& listener,
                                                    std::uint32_t number);

// The number with which the listener starts: the one that an operator has set, or else that of its entry. Nothing: it
// has no entry.
[[nodiscard]] std::optional<std::uint32_t> workers_wanted(running::Catalogue& catalogue, const std::string& listener);

// An operator has decided that the listener has so many workers: remembered, and the number with which it starts from
// now on. It starts and stops nothing.
void remember_workers(running::Engine& engine, running::Catalogue& catalogue, const std::string& listener,
                      std::uint32_t workers);

}  // namespace bulkhead::procedure
