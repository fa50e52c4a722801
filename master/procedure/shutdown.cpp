#include "master/procedure/shutdown.h"

#include <utility>

namespace bulkhead::procedure {

using supervision::Cause;

Shutdown::Shutdown(loop::Loop& loop, running::Engine& engine, running::Listeners& listeners,
                   running::Children& children, journal::Narrator& narrator, StopSequence::Times times,
                   Observer observer, Clock clock)
    : listeners_(listeners),
      narrator_(narrator),
      observer_(std::move(observer)),
      sequence_(children, times, std::move(clock)),
      timer_(loop, [this] { tick(); }) {
  sequence_.set_world({[this] { return listeners_.all(); },
                       [&engine, &children] {
                         children.abort_starts();
                         engine.apply(supervision::StopRequested{});
                       },
                       [&children] { children.kill_everything(); }, [this](Phase phase) { on_phase(phase); },
                       [this] { observer_.on_done(); }});
}

void Shutdown::begin(const std::function<void()>& step) {
  step();
  if (sequence_.is_ticking()) timer_.start(StopSequence::kTick, StopSequence::kTick);
}

void Shutdown::tick() {
  sequence_.tick();
  if (!sequence_.is_ticking()) timer_.stop();
}

void Shutdown::graceful(bool ready) {
  begin([this, ready] {
    if (ready) {
      sequence_.graceful();
    } else {
      sequence_.without_lame_duck();
    }
  });
}

void Shutdown::failed(Cause cause, const std::vector<std::string>& chain, bool shortage) {
  if (cause != Cause::intensity && cause != Cause::start_failed) return;
  status_ = shortage ? kSystemError : kGaveUp;
  narrator_.gave_up(cause, chain);
}

void Shutdown::tree_ending(const supervision::TreeEnding& end, bool ready, Departure departure) {
  if (ready || !is_stopping()) failed(end.cause, end.chain, end.shortage);
  if (is_stopping()) return;
  leaves_ = departure.connections_stay && end.cause != Cause::auto_shutdown;
  begin([&] {
    if (leaves_) {
      sequence_.leave(departure.ports_stay);
    } else {
      sequence_.without_lame_duck();
    }
  });
}

// A root that asked has been dealt with; without that, its tree was wrong from the start.
void Shutdown::tree_terminated(const supervision::TreeTerminated& end) {
  if (!is_stopping()) failed(end.cause, end.chain, end.shortage);
  begin([this] { sequence_.tree_gone(); });
}

void Shutdown::on_phase(Phase phase) {
  std::uint32_t connections = 0;
  for (const net::Listener* listener : listeners_.all()) connections += listener->counts().serving;
  observer_.on_phase(phase);
  narrator_.on_the_way_down("root", phase, sequence_.lame_duck(), connections);
}

}  // namespace bulkhead::procedure
