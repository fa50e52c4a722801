// The number of a listener's workers: adds or ends one worker at a time until it is right, always the one with the
// highest number. Requests for one listener are carried out one after another, because "one more" means one more than
// the result of the request before. They wait while workers are replaced (hold()), which starts more of them for a
// while. A number that an operator has set is remembered (running/overrides.h); a listener that is stopped starts with
// it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "master/procedure/outcome.h"
#include "master/running/catalogue.h"
#include "master/running/engine.h"
#include "master/running/later.h"

namespace bulkhead::procedure {

class Scaling {
 public:
  // All references must outlive it.
  Scaling(running::Engine& engine, running::Catalogue& catalogue, const running::Listeners& listeners,
          running::Later& later)
      : engine_(engine), catalogue_(catalogue), listeners_(listeners), later_(later) {}

  // Requests of operators.
  void set(const std::string& listener, std::int64_t workers, Done done);
  void change(const std::string& listener, std::int64_t by, Done done);
  // A reload, also while it is held: the number of the file, or else the one that an operator has set.
  void settle(const std::string& listener, Done done);

  void hold() noexcept { held_ = true; }
  void release();
  // True if no request is being carried out: it can be held.
  [[nodiscard]] bool is_idle() const noexcept { return requests_.empty(); }
  // Called whenever it has become idle.
  void on_idle(std::function<void()> hear) { on_idle_ = std::move(hear); }

 private:
  using Wanted = std::function<std::int64_t(std::int64_t present)>;
  using Action = std::function<void(const Done& done)>;
  void ask(const std::string& listener, Wanted wanted, Done done);
  void request(const std::string& listener, Action action, Done done);
  void request(const std::string& listener, Wanted wanted, Done done);
  void begin(const std::string& listener, const Wanted& wanted, const Done& done);
  void next(const std::string& listener);
  [[nodiscard]] std::int64_t present_workers(const std::string& listener) const;
  void step(const std::string& listener, std::uint32_t wanted, const Done& done);

  running::Engine& engine_;
  running::Catalogue& catalogue_;
  const running::Listeners& listeners_;
  running::Later& later_;
  std::map<std::string, std::deque<std::function<void()>>> requests_;  // by listener, the first under way
  std::deque<std::function<void()>> waiting_;                          // until it is released
  bool held_ = false;
  std::function<void()> on_idle_;
};

}  // namespace bulkhead::procedure
