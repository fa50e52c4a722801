// The number of a listener's workers: adds or ends one worker at a time until it is right, always the one with the
// highest number. Requests for one listener are carried out one after another, because "one more" means one more than
// the result of the request before. A number that an operator has set is remembered (running/overrides.h).
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
  Scaling(running::Engine& engine, running::Catalogue& catalogue, running::Later& later)
      : engine_(engine), catalogue_(catalogue), later_(later) {}

  // Requests of operators.
  void set(const std::string& listener, std::int64_t workers, Done done);
  void change(const std::string& listener, std::int64_t by, Done done);
  // A reload: the number of the file, or else the one that an operator has set.
  void settle(const std::string& listener, Done done);

 private:
  using Wanted = std::function<std::int64_t(std::int64_t present)>;
  using Deed = std::function<void(const Done& done)>;
  void request(const std::string& listener, Deed deed, Done done);
  void request(const std::string& listener, Wanted wanted, Done done);
  void begin(const std::string& listener, const Wanted& wanted, const Done& done);
  void next(const std::string& listener);
  void step(const std::string& listener, std::uint32_t wanted, const Done& done);

  running::Engine& engine_;
  running::Catalogue& catalogue_;
  running::Later& later_;
  std::map<std::string, std::deque<std::function<void()>>> requests_;  // by listener, the first under way
};

}  // namespace bulkhead::procedure
