#include "master/process/handler_errors.h"

#include <memory>

#include "worker/sys/clock.h"

namespace bulkhead::process {

HandlerErrors::Channel::Channel(loop::Loop& loop, ipc::ErrorPair ends, ipc::ErrorReader lines)
    : pair(std::move(ends)),
      reader(std::move(lines)),
      poll(loop, pair.read.get(), [this] { on_readable(); }),
      pause(loop, [this] { poll.start(); }) {}

void HandlerErrors::Channel::on_readable() {
  if (!reader.turn(sys::monotonic_ns())) return;
  poll.stop();
  pause.start(ipc::ErrorReader::kSlice);
}

HandlerErrors::Channel* HandlerErrors::find_channel(const net::Listener& listener, std::uint32_t index) {
  const auto found = channels_.find({&listener, index});
  return found == channels_.end() ? nullptr : found->second.get();
}

sys::Result<HandlerErrors::Ends> HandlerErrors::ends(const net::Listener& listener, std::uint32_t index) {
  if (const Channel* known = find_channel(listener, index))
    return Ends{known->pair.read.get(), known->pair.write.get()};
  auto pair = ipc::make_error_pair();
  if (!pair) return pair.error();
  const Channel& channel = add(listener, index, std::move(*pair));
  return Ends{channel.pair.read.get(), channel.pair.write.get()};
}

HandlerErrors::Channel& HandlerErrors::add(const net::Listener& listener, std::uint32_t index, ipc::ErrorPair pair) {
  ipc::ErrorReader reader(
      pair.read.get(), listener.path(), listener.config().child.log_rate_limit.value_or(0),
      [this, &listener](pid_t leader) { return find_(listener, leader); },
      [&listener]() -> log::Sink& { return listener.log(); });
  auto& channel = channels_[{&listener, index}];
  channel = std::make_unique<Channel>(loop_, std::move(pair), std::move(reader));
  return *channel;
}

void HandlerErrors::worker_started(const net::Listener& listener, std::uint32_t index) {
  Channel* channel = find_channel(listener, index);
  if (channel == nullptr) return;
  channel->poll.stop();
  channel->pause.stop();
  channel->reader.output().end_all();
  channel->reader.output().set_rate(listener.config().child.log_rate_limit.value_or(0));
}

void HandlerErrors::worker_gone(const net::Listener& listener, std::uint32_t index) {
  if (Channel* channel = find_channel(listener, index)) channel->poll.start();
}

void HandlerErrors::tick(std::int64_t now_ns) {
  for (auto& [key, channel] : channels_) channel->reader.tick(now_ns);
}

void HandlerErrors::forget(const net::Listener& listener) {
  std::erase_if(channels_, [&listener](const auto& entry) { return entry.first.first == &listener; });
}

}  // namespace bulkhead::process
