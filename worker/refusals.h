// Refuses connections: counts and logs the refusal, and closes the connection so that its client can read the reason.
//
// A close with unread input resets the connection and takes the last message with it (RFC 1122, 4.2.2.13). So the
// message is sent, our direction is shut down, and input is read and dropped until the client closes too, for at most
// one second and one mebibyte. At most kMost connections are waited for; the oldest makes room for the next.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include "worker/arrival.h"
#include "worker/ipc/plan.h"
#include "worker/ipc/table/table.h"
#include "worker/log/log.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

class Refusals {
 public:
  // `on_idle` is called when the last connection that was waited for is closed.
  Refusals(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, std::function<void()> on_idle);

  // Takes the connection. `detail`, up to 95 bytes, follows the words that the plan has for the reason: the network
  // that is denied, the value of a limit that may change. The slot, if it has one, stays the caller's to free.
  void refuse(Arrival& arrival, ipc::Refusal reason, std::string_view detail = {});
  // Counts and logs a refusal that the mode of `penalties` only rehearses: the connection is admitted.
  void would_refuse(const Arrival& arrival, ipc::Refusal reason, std::string_view detail);
  // Once a second: logs the last of the refusals that were suppressed, and their number; and the end of a time without
  // room, once no connection has been refused for a second.
  void tick(std::int64_t now_ns);
  // No refused connection is open any longer.
  [[nodiscard]] bool idle() const noexcept { return leaving_.empty(); }

 private:
  static constexpr std::size_t kMost = 256;

  struct Leaving {
    sys::Fd connection;
    std::unique_ptr<loop::Poll> poll;
    std::int64_t until_ns = 0;
    std::size_t left = 0;  // bytes that we still read
  };
  // A time in which new connections were refused because there was no room.
  struct Episode {
    std::uint64_t refused = 0;  // 0: none
    std::int64_t began_ns = 0;
    std::int64_t last_ns = 0;
  };
  struct News {
    log::RateLimit limit;
    Episode episode;
    ipc::Peer peer;  // of the last one, logged or not
    ipc::Peer real_peer;
    char detail[96] = {};
  };

  void tell(ipc::Refusal reason, const Arrival& arrival, std::string_view detail);
  void tell_end(ipc::Refusal reason, News& news);
  void write_line(ipc::Refusal reason, News& news, std::uint64_t suppressed);
  void see_off(sys::Fd connection);
  void see_gone(std::list<Leaving>::iterator which);
  void on_deadline();
  void arm();

  loop::Loop& loop_;
  const ipc::PlanHeader& header_;
  const char* path_;
  std::string_view banner_fail_;
  std::vector<const char*> words_;
  ipc::Table& table_;
  std::list<Leaving> leaving_;  // in the order of their deadlines, which is that of their arrival
  loop::Timer deadline_;
  std::function<void()> on_idle_;
  News news_[ipc::kRefusals];
};

}  // namespace bulkhead::worker
