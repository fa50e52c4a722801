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
#include "worker/ipc/table/table.h"
#include "worker/place_request.h"
#include "worker/refusals.h"
#include "worker/source_watch.h"

namespace bulkhead::worker {

// The outcome for an arrival. Except for `done` it stays the caller's, to be admitted again later.
enum class Received {
  done,      // a child has it, or it was refused
  full,      // on_full is queue: no slot; the next one freed rings the bell
  rate,      // on_full is queue: no room in the window until Reception::until_ns()
  total,     // on_full is queue: daemon.max_connections leaves no place; the bell rings when there may be one
  places,    // the master has been asked for places; the bell brings the answer
  shortage,  // admitted, but a process could not be had; errno says why
};

class Reception {
 public:
  Reception(const ipc::Plan& plan, ipc::Table& table, Connections& connections, Refusals& refusals,
            const SourceWatch& sources, int channel);

  // Whether clients without a slot wait in the kernel's queue (on_full).
  [[nodiscard]] bool queues() const noexcept {
    return header_.on_full == ipc::OnFull::queue || header_.on_full == ipc::OnFull::drop_oldest_idle;
  }
  // Before the accept, if it queues: `done` with a slot for the arrival, or the reason for having none.
  [[nodiscard]] Received claim(Arrival& arrival) noexcept;
  // Frees a claimed slot for which no connection came.
  void release(std::uint32_t slot) noexcept { connections_.release(slot); }

  // Step 1. False: refused.
  [[nodiscard]] bool arrived(Arrival& arrival);
  // Step 2, if headers are expected: whether the other end of the connection may send one. False: refused.
  [[nodiscard]] bool may_speak(Arrival& arrival);
  // Steps 3 to 6, once the client is known; and its child.
  [[nodiscard]] Received admit(Arrival& arrival);
  // Refuses the connection: frees its slot, counts, logs and closes.
  void refuse(Arrival& arrival, ipc::Refusal reason, std::string_view detail = {});

  // The bell has rung, or the master has sent word: what it was asked for may have its answer.
  void answered() noexcept { request_.answered(); }
  [[nodiscard]] std::int64_t until_ns() const noexcept { return until_ns_; }

 private:
  [[nodiscard]] bool client_may(Arrival& arrival);
  [[nodiscard]] ipc::Demand demand() const noexcept;
  [[nodiscard]] bool limited_by_rule(const Arrival& arrival) const noexcept;
  // It has to wait: notes until when, and returns for what.
  [[nodiscard]] Received wait_for(const ipc::Grant& grant) noexcept;
  void ask_for_places(const ipc::Grant& grant) noexcept;
  [[nodiscard]] Received no_room(Arrival& arrival, const ipc::Demand& demand, const ipc::Grant& grant);

  const ipc::PlanHeader& header_;
  ipc::Table& table_;
  Connections& connections_;
  Refusals& refusals_;
  const SourceWatch& sources_;
  admission::Pipeline pipeline_;
  PlaceRequest request_;
  std::span<const ipc::PlanRule> rules_;
  std::int64_t until_ns_ = 0;
};

}  // namespace bulkhead::worker
