// Decides when listeners and the daemon are ready: a listener once its supervisor has started all its workers, the
// daemon once the root has started all children. Announces both, once.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "master/journal/narrator.h"
#include "master/running/engine.h"
#include "master/running/listeners.h"

namespace bulkhead::procedure {

class Readiness {
 public:
  // All references must outlive it. `ready_fd` gets one line of JSON when everything serves, then is closed; -1: none.
  Readiness(const running::Engine& engine, const running::Listeners& listeners, journal::Narrator& narrator,
            int ready_fd, std::function<void()> on_ready);

  // Call it after every change that may affect readiness.
  void look();
  [[nodiscard]] bool is_ready() const noexcept { return ready_; }
  // A supervisor is being started: a listener will be announced again.
  void started(const std::string& supervisor) { announced_.erase(supervisor); }
  [[nodiscard]] bool has_announced(const std::string& listener) const { return announced_.contains(listener); }
  // Another program has already announced the readiness, or the listener.
  void resume() noexcept { ready_ = true; }
  void resume(const std::string& listener) { announced_.insert(listener); }

 private:
  void write_ready_line();
  [[nodiscard]] bool is_running(const std::string& path) const;

  const running::Engine& engine_;
  const running::Listeners& listeners_;
  journal::Narrator& narrator_;
  int ready_fd_;
  std::function<void()> on_ready_;
  bool ready_ = false;
  std::set<std::string> announced_;  // listeners, since they started
};

}  // namespace bulkhead::procedure
