// Decides which of the master's signals are read now, and carries out the three that are meant for all listeners
// (bulkheadd(8), SIGNALS).
#pragma once

#include <initializer_list>

#include "master/procedure/operations.h"
#include "master/procedure/scaling.h"
#include "master/running/listeners.h"

namespace bulkhead::procedure {

struct SignalState {
  bool ready = false;  // the daemon serves
  bool reloading = false;
  bool upgrading = false;
  bool stopping = false;
};
// A signal that would change something waits until the present change is over. It stays pending in the kernel until
// then, also over an upgrade: execve(2) keeps pending and blocked signals. During a shutdown every signal is read, and
// refused.
[[nodiscard]] std::vector<int> readable_signals(const SignalState& state);

// WINCH suspends all listeners; TTIN and TTOU mean one worker more or fewer for each. The terminal's driver sends these
// three too, so with a controlling terminal they are ignored.
void obey_terminal_signal(int signal, bool stopping, const running::Listeners& listeners, Operations& operations,
                          Scaling& scaling);

}  // namespace bulkhead::procedure
