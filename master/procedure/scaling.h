// The number of a listener's workers: adds or ends one worker at a time until it is right, always the one with the
// highest number. Requests for one listener are carried out one after another, because "one more" means one more than
// the result of the request before.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "master/procedure/outcome.h"
#include "master/running/engine.h"
#include "master/running/later.h"

namespace bulkhead::procedure {

class Scaling {
 public:
  // Both must outlive it.
  Scaling(running::Engine& engine, running::Later& later) : engine_(engine), later_(later) {}

  void set(const std::string& listener, std::int64_t workers, Done done);
  void change(const std::string& listener, std::int64_t by, Done done);

 private:
  using Wanted = std::function<std::int64_t(std::int64_t present)>;
  void request(const std::string& listener, Wanted wanted, Done done);
  void begin(const std::string& listener, const Wanted& wanted, const Done& done);
  void next(const std::string& listener);
  void step(const std::string& listener, std::uint32_t wanted, const Done& done);

  running::Engine& engine_;
  running::Later& later_;
  std::map<std::string, std::deque<std::function<void()>>> requests_;  // by listener, the first under way
};

}  // namespace bulkhead::procedure
