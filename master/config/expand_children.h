// From the entries of `children` to the children that they mean: `defaults` of the supervisors above give them keys,
// and `instances` makes several of one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/config/context.h"
#include "master/config/section.h"

namespace bulkhead::config {

// Makes the `defaults` of a supervisor hold for all children that are read while it lives. Its values are checked here,
// and reported where they are written; those that do not fit are left out.
class DefaultsInForce {
 public:
  enum class Report : std::uint8_t { yes, no };  // no: they have been reported
  DefaultsInForce(Context& context, const Section& supervisor, Report report = Report::yes);
  ~DefaultsInForce() { context_.leave_defaults(); }
  DefaultsInForce(const DefaultsInForce&) = delete;
  DefaultsInForce& operator=(const DefaultsInForce&) = delete;

 private:
  Context& context_;
};

// The children that `section`, an object of `children`, stands for: one, or as many as its `instances`, with ids that
// end in -1, -2, … In the strings of these %i is the number and %% a percent sign, and a range of ports in `listen` is
// given out in order. A key that comes from `defaults` has the position of the entry.
[[nodiscard]] std::vector<Value> children_meant(Context& context, const Section& section);

}  // namespace bulkhead::config
