// Exit statuses of bulkheadd: sysexits(3)'s numbers (bulkheadd(8), EXIT STATUS).
#pragma once

namespace bulkhead {

enum ExitStatus : int {
  kStopped = 0,
  kUsage = 64,
  kAddressInUse = 69,
  kGaveUp = 70,
  kSystemError = 71,
  kAlreadyRunning = 73,
  kNoPermission = 77,
  kBadConfiguration = 78
};

}  // namespace bulkhead
