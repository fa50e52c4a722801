#include "worker/refusals.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "worker/ipc/connection_log.h"
#include "worker/sys/clock.h"

namespace bulkhead::worker {

namespace {

constexpr std::int64_t kPatience = 1'000'000'000;
constexpr std::size_t kMostBytes = std::size_t{1} << 20U;
constexpr std::size_t kAtOnce = 16 * std::size_t{1024};

// Whether the client has closed, or has sent so much that we stop reading.
bool drain(int connection, std::size_t& left) noexcept {
  static char ignored[kAtOnce];
  while (left > 0) {
    // For TCP the kernel copies nothing (tcp(7), MSG_TRUNC).
    const ssize_t got = recv(connection, ignored, sizeof ignored, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0 || errno != EAGAIN;
    left -= std::min(left, static_cast<std::size_t>(got));
  }
  return true;
}

void reset(int connection) noexcept {
  const linger at_once{1, 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace

Refusals::Refusals(loop::Loop& loop, const ipc::Plan& plan, ipc::Table& table, std::function<void()> on_idle)
    : loop_(loop),
      header_(plan.header()),
      path_(plan.string(header_.listener_path)),
      banner_fail_(plan.string(header_.banner_fail)),
      words_(plan.vector(header_.refusal_words)),
      table_(table),
      deadline_(loop, [this] { on_deadline(); }),
      on_idle_(std::move(on_idle)) {}

void Refusals::refuse(Arrival& arrival, ipc::Refusal reason, std::string_view detail) {
  table_.refuse(reason);
  tell(reason, arrival, detail);
  sys::Fd connection = std::move(arrival.connection);
  if (ipc::is_capacity(reason) && header_.on_full == ipc::OnFull::reset) return reset(connection.get());
  const bool silent = ipc::is_capacity(reason) && header_.on_full == ipc::OnFull::close;
  if (!silent && !banner_fail_.empty()) {
    (void)send(connection.get(), banner_fail_.data(), banner_fail_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  see_off(std::move(connection));
}

void Refusals::would_refuse(const Arrival& arrival, ipc::Refusal reason, std::string_view detail) {
  table_.refuse(reason);
  tell(reason, arrival, detail);
}

void Refusals::see_off(sys::Fd connection) {
  std::size_t left = kMostBytes;
  if (shutdown(connection.get(), SHUT_WR) != 0 || drain(connection.get(), left)) return;
  if (leaving_.size() == kMost) leaving_.pop_front();
  const auto entry = leaving_.insert(leaving_.end(), Leaving{});
  entry->until_ns = sys::monotonic_ns() + kPatience;
  entry->left = left;
  entry->poll = std::make_unique<loop::Poll>(loop_, connection.get(), [this, entry] {
    if (drain(entry->connection.get(), entry->left)) see_gone(entry);
  });
  entry->connection = std::move(connection);
  entry->poll->start();
  if (leaving_.size() == 1) arm();
}

void Refusals::see_gone(std::list<Leaving>::iterator which) {
  leaving_.erase(which);
  if (leaving_.empty()) on_idle_();
}

void Refusals::arm() {
  if (leaving_.empty()) return;
  deadline_.start(std::chrono::nanoseconds(std::max<std::int64_t>(leaving_.front().until_ns - sys::monotonic_ns(), 0)));
}

void Refusals::on_deadline() {
  const std::int64_t now = sys::monotonic_ns();
  while (!leaving_.empty() && leaving_.front().until_ns <= now) see_gone(leaving_.begin());
  arm();
}

void Refusals::tell(ipc::Refusal reason, const Arrival& arrival, std::string_view detail) {
  News& news = news_[static_cast<std::size_t>(reason)];
  news.peer = arrival.client;
  news.real_peer = arrival.local.family != AF_UNSPEC ? arrival.transport : ipc::Peer{};
  if (ipc::is_capacity(reason)) {
    news.episode.last_ns = sys::monotonic_ns();
    if (news.episode.refused++ == 0) news.episode.began_ns = news.episode.last_ns;
  }
  news.detail[detail.copy(news.detail, sizeof news.detail - 1)] = '\0';
  if (news.limit.allow(sys::monotonic_ns())) write_line(reason, news, news.limit.take_suppressed());
}

void Refusals::tick(std::int64_t now_ns) {
  for (std::size_t i = 0; i < ipc::kRefusals; ++i) {
    News& news = news_[i];
    const bool over = news.episode.refused != 0 && now_ns - news.episode.last_ns >= 1'000'000'000;
    if (over) tell_end(static_cast<ipc::Refusal>(i), news);
    if (!news.limit.overdue(now_ns) || !news.limit.allow(now_ns)) continue;
    write_line(static_cast<ipc::Refusal>(i), news, news.limit.take_suppressed() - 1);
  }
}

void Refusals::tell_end(ipc::Refusal reason, News& news) {
  const Episode over = std::exchange(news.episode, {});
  log::Line line(log::Level::info, path_);
  line.text(words_[static_cast<std::size_t>(reason)]).text(news.detail).text(": no longer refusing; ");
  line.number(static_cast<std::int64_t>(over.refused))
      .text(over.refused == 1 ? " connection was" : " connections were");
  line.text(" refused in ").seconds(over.last_ns - over.began_ns);
  line.field("reason", ipc::refusal_text(reason)).field("refused", static_cast<std::int64_t>(over.refused)).write();
}

void Refusals::write_line(ipc::Refusal reason, News& news, std::uint64_t suppressed) {
  log::Line line(log::Level::warning, path_);
  const bool as_if = reason == ipc::Refusal::penalty && header_.sources.penalties.mode == admission::PenaltyMode::log;
  line.text(as_if ? "would have refused a connection: " : "refused a connection: ")
      .text(words_[static_cast<std::size_t>(reason)])
      .text(news.detail);
  ipc::add_event(line, as_if ? ipc::ConnectionEvent::would_be_refused : ipc::ConnectionEvent::refused);
  line.field("reason", ipc::refusal_text(reason));
  ipc::add_peer(line, "peer", news.peer);
  if (news.real_peer.family != AF_UNSPEC) ipc::add_peer(line, "real_peer", news.real_peer);
  if (suppressed != 0) line.field("suppressed", static_cast<std::int64_t>(suppressed));
  line.write();
}

}  // namespace bulkhead::worker
