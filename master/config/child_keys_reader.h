// The keys of listeners and processes about the processes that they start: identity, environment and limits.
#pragma once

#include <string>

#include "master/config/identity.h"
#include "master/config/section.h"

namespace bulkhead::config {

// Create it before the other keys of a child are read: while it exists, programs and directories are looked up in the
// child's `chroot`, if it has one.
class InRoot {
 public:
  InRoot(Context& context, const Section& section);
  ~InRoot() { context_.enter_root(""); }
  InRoot(const InRoot&) = delete;
  InRoot& operator=(const InRoot&) = delete;

 private:
  Context& context_;
};

// For the keys of the same name of listeners and processes, which have defaults of their own.
void set_log_rate_limit(ChildKeys& keys, const Entry& entry);

void read_child_keys(Context& context, const Section& section, WithoutUser without_user, ChildKeys& keys,
                     Value& effective);

}  // namespace bulkhead::config
