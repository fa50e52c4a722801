// Asks the master for more of daemon.max_connections (worker/ipc/lease.h): once, then again when there has been an
// answer, or after a time, because a request may be lost with the master's program that it was sent to, and because one
// that was refused holds for a while only.
#pragma once

#include <cstdint>

#include "worker/ipc/channel.h"

namespace bulkhead::worker {

class PlaceRequest {
 public:
  static constexpr std::int64_t kAgain = 100'000'000;
  explicit PlaceRequest(int channel) : channel_(channel) {}

  void ask(std::int64_t now_ns) noexcept {
    if (asked_ns_ != 0 && now_ns - asked_ns_ < kAgain) return;
    asked_ns_ = now_ns;
    (void)ipc::send(channel_, ipc::Wanted{});
  }
  // There may have been an answer. If it did not help, because others of the listener were faster, the request may be
  // made again at once; one that was refused may not.
  void answered() noexcept {
    if (!refused_) asked_ns_ = 0;
  }
  void set_refused(bool refused) noexcept {
    if (refused_ && !refused) asked_ns_ = 0;
    refused_ = refused;
  }

 private:
  int channel_;
  std::int64_t asked_ns_ = 0;
  bool refused_ = false;
};

}  // namespace bulkhead::worker
