// The master's part in the standard error of handler programs: it makes and keeps the pairs (worker/ipc/error_pair.h),
// one for each worker index of a listener that wants them, hands them to each worker of that index, and reads them
// while there is no such worker.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "master/net/listener.h"
#include "master/process/handover.h"
#include "worker/ipc/error_pair.h"
#include "worker/ipc/error_reader.h"
#include "worker/loop/loop.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class HandlerErrors {
 public:
  // The adopted connection of this listener whose first process is `leader`.
  using Find = std::function<std::optional<ipc::Origin>(const net::Listener&, pid_t leader)>;

  HandlerErrors(loop::Loop& loop, Find find) : loop_(loop), find_(std::move(find)) {}

  struct Ends {
    int read;
    int write;
  };
  // Makes the pair if there is none yet. Both ends stay owned by this class.
  [[nodiscard]] sys::Result<Ends> ends(const net::Listener& listener, std::uint32_t index);
  // A worker of that index reads from now on; or none does any longer.
  void worker_started(const net::Listener& listener, std::uint32_t index);
  void worker_gone(const net::Listener& listener, std::uint32_t index);

  void tick(std::int64_t now_ns);
  // For another program to continue with, and the continuation there: until worker_gone() the worker reads.
  [[nodiscard]] std::vector<ErrorsHandover> hand_over() const;
  void resume(const ErrorsHandover& from, const net::Listener& listener);
  // The listener is being removed.
  void forget(const net::Listener& listener);

 private:
  struct Channel {
    Channel(loop::Loop& loop, ipc::ErrorPair pair, ipc::ErrorReader reader);
    void on_readable();
    ipc::ErrorPair pair;
    ipc::ErrorReader reader;
    loop::Poll poll;
    loop::Timer pause;
  };
  using Key = std::pair<const net::Listener*, std::uint32_t>;
  Channel& add(const net::Listener& listener, std::uint32_t index, ipc::ErrorPair pair);
  [[nodiscard]] Channel* find_channel(const net::Listener& listener, std::uint32_t index);

  loop::Loop& loop_;
  Find find_;
  std::map<Key, std::unique_ptr<Channel>> channels_;
};

}  // namespace bulkhead::process
