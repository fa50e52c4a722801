// What listeners and processes say about the processes that they start: who they are, what surrounds and limits them.
#pragma once

#include <string>

#include "master/config/identity.h"
#include "master/config/section.h"

namespace bulkhead::config {

// Before the other keys of a child: programs and directories are looked for in its `chroot`, if it has one. Until the
// end of the object.
class InRoot {
 public:
  InRoot(Context& context, const Section& section);
  ~InRoot() { context_.enter_root(""); }
  InRoot(const InRoot&) = delete;
  InRoot& operator=(const InRoot&) = delete;

 private:
  Context& context_;
};

void read_child_keys(Context& context, const Section& section, WithoutUser without_user, ChildKeys& keys,
                     Value& effective);

}  // namespace bulkhead::config
