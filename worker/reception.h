// Takes an accepted connection through the steps of admission/pipeline.h, to a child, to a refusal, or to waiting.
//
//   accept ──▶ arrived ──step 1──▶ (step 2: who is the client?) ──▶ admit, steps 3 to 6 ──▶ begin
//                 │                                                    │       └─full─▶ wait, where on_full is queue
//                 └───────────── no ──▶ refused ◀───────── no ─────────┘
#pragma once

#include <cstdint>
#include <span>

#include "worker/admission/pipeline.h"
#include "worker/arrival.h"
#include "worker/connections.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table.h"
#include "worker/refusals.h"
#include "worker/source_watch.h"

namespace bulkhead::worker {

// What became of an arrival. In all but `done` it stays the caller's, to be admitted again later.
enum class Received {
  done,      // a child has it, or it was refused
  full,      // on_full is queue: no slot; the next one freed rings the bell
  rate,      // on_full is queue: no room in the window until Reception::until_ns()
  shortage,  // admitted, but no process to be had for it: errno tells
};

class Reception {
 public:
  Reception(const ipc::Plan& plan, ipc::Table& table, Connections& connections, Refusals& refusals,
            const SourceWatch& sources);

  // Before the accept, where on_full is queue: a slot, or why there is none.
  [[nodiscard]] ipc::Grant claim() noexcept;
  // Nobody came for it.
  void release(std::uint32_t slot) noexcept { connections_.release(slot); }

  // Step 1. False: refused.
  [[nodiscard]] bool arrived(Arrival& arrival);
  // Step 2, where headers are wanted: whether this end of a connection may send one. False: refused.
  [[nodiscard]] bool may_speak(Arrival& arrival);
  // Steps 3 to 6, once the client is known; and its child.
  [[nodiscard]] Received admit(Arrival& arrival);
  // Gives it up: frees its slot, counts, tells and closes.
  void refuse(Arrival& arrival, ipc::Refusal reason, std::string_view detail = {});

  [[nodiscard]] std::int64_t until_ns() const noexcept { return until_ns_; }

 private:
  [[nodiscard]] bool client_may(Arrival& arrival);
  [[nodiscard]] ipc::Demand demand() const noexcept;
  [[nodiscard]] bool limited_by_rule(const Arrival& arrival) const noexcept;
  [[nodiscard]] Received no_room(Arrival& arrival, const ipc::Demand& demand, const ipc::Grant& grant);

  const ipc::PlanHeader& header_;
  ipc::Table& table_;
  Connections& connections_;
  Refusals& refusals_;
  const SourceWatch& sources_;
  admission::Pipeline pipeline_;
  std::span<const ipc::PlanRule> rules_;
  std::int64_t until_ns_ = 0;
};

}  // namespace bulkhead::worker
