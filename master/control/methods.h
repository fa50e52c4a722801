// The methods of the control protocol: conversion from JSON to C++ and back, and nothing else. Every verb of the
// command table except `events`, which the server answers itself, is one row of kMethods. Runs in the master, on the
// loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "master/control/backend.h"
#include "master/control/snapshot.h"
#include "master/journal/event_ring.h"
#include "master/journal/memory.h"
#include "master/journal/start_failure.h"
#include "master/procedure/endings.h"
#include "master/procedure/log_keeper.h"
#include "master/procedure/operations.h"
#include "master/procedure/outcome.h"
#include "master/procedure/places.h"
#include "master/procedure/readiness.h"
#include "master/procedure/scaling.h"
#include "master/procedure/shutdown.h"
#include "master/reload/reload.h"
#include "master/running/catalogue.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/later.h"
#include "master/running/listeners.h"
#include "master/upgrade/upgrade.h"

namespace bulkhead::control {

// The parts that the methods query and command; all must outlive them.
struct Parts {
  loop::Loop& loop;
  const running::Engine& engine;
  const running::Catalogue& catalogue;
  running::Listeners& listeners;
  running::Children& children;
  running::Later& later;
  const procedure::Endings& endings;
  const procedure::Readiness& readiness;
  procedure::Operations& operations;
  procedure::Scaling& scaling;
  procedure::Shutdown& shutdown;
  procedure::LogKeeper& log;
  reload::Reload& reload;
  upgrade::Upgrade& upgrade;
  procedure::Places& places;
  const journal::EventRing& events;
  const journal::Memory& lines;
  const journal::StartFailures& failures;
  const std::string& version;
  const supervision::Instant& started;
};

class Methods final : public Backend {
 public:
  explicit Methods(Parts parts) : parts_(parts) {}

  void call(const std::string& method, const nlohmann::ordered_json& params, Reply reply) override;
  // What a client has asked another program, which has not answered.
  void call_again(Unanswered call);
  // Answers `upgrade` to a client that had asked the previous program.
  [[nodiscard]] static upgrade::Upgrade::Answered answer_to_upgrade(Reply reply);

 private:
  using Params = nlohmann::ordered_json;
  enum class While : std::uint8_t { always, not_stopping };
  struct Method {
    std::string_view name;
    void (Methods::*carry_out)(const Params& params, Reply reply);
    While allowed;
  };
  static const Method kMethods[];
  [[nodiscard]] procedure::Done answer_about(std::string path, Reply reply) const;

  void status(const Params& params, Reply reply);
  void tree(const Params& params, Reply reply);
  void connections(const Params& params, Reply reply);
  void stats(const Params& params, Reply reply);
  void config(const Params& params, Reply reply);
  void explain(const Params& params, Reply reply);
  void sandbox(const Params& params, Reply reply);
  void logs(const Params& params, Reply reply);
  void restart(const Params& params, Reply reply);
  void stop(const Params& params, Reply reply);
  void drain(const Params& params, Reply reply);
  void start(const Params& params, Reply reply);
  void remove(const Params& params, Reply reply);
  void add(const Params& params, Reply reply);
  void scale(const Params& params, Reply reply);
  void suspend(const Params& params, Reply reply);
  void resume(const Params& params, Reply reply);
  void check(const Params& params, Reply reply);
  void diff(const Params& params, Reply reply);
  void reload(const Params& params, Reply reply);
  void confirm(const Params& params, Reply reply);
  void add_unconfirmed(nlohmann::ordered_json& out) const;
  void upgrade(const Params& params, Reply reply);
  void reopen(const Params& params, Reply reply);
  void penalties(const Params& params, Reply reply);
  void signal(const Params& params, Reply reply);
  void kill(const Params& params, Reply reply);
  void kill_by_peer(const std::string& peer, int signal, Reply reply);
  void shutdown(const Params& params, Reply reply);

  [[nodiscard]] World world() const;
  [[nodiscard]] const char* state() const;
  [[nodiscard]] std::vector<std::string> not_kept(const std::string& path) const;
  [[nodiscard]] bool is_disabled(const std::string& path) const;

  Parts parts_;
};

}  // namespace bulkhead::control
