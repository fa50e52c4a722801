#include "master/procedure/places.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "master/config/reserved_places.h"

namespace bulkhead::procedure {

void Places::use(const config::Config& config) {
  rules_.reset();
  if (config.max_connections) {
    rules_ = PlaceRules{*config.max_connections, config::reserved_places(config)};
    total_ = *config.max_connections;
    return share();
  }
  timer_.stop();
  for (net::Listener* listener : listeners_.all()) {
    const bool held = listener->lease().holds;
    listener->grant({}, 0);
    if (held) listener->ring();
  }
}

// It starts with nothing: the places of the others are theirs until the next look.
void Places::made(net::Listener& listener) {
  if (rules_) listener.grant({true, false, 0}, total_);
}

void Places::wanted(net::Listener& listener) {
  if (!rules_) return listener.ring();
  Account& account = accounts_[&listener];
  const auto now = clock_();
  account.asked = ++asks_;
  account.asked_at = now;
  account.busy_until = now + kBusy;
  if (now - shared_ >= kAtMost) return share();
  timer_.start(kAtMost);
}

void Places::tick(const std::function<std::uint32_t()>& earlier) {
  if (!rules_) return;
  earlier_ = earlier();
  share();
}

std::uint32_t Places::taken(net::Listener& listener) {
  Account& account = accounts_[&listener];
  const std::uint32_t most = listener.limits().capacity;
  if (account.ceiling == 0) account.ceiling = std::max(listener.most_slots(), most);
  const std::uint32_t taken = std::min(listener.places_taken(), account.ceiling);
  account.ceiling = std::max(most, taken);
  return taken;
}

bool Places::asks(const Account& account) const {
  return account.asked != 0 && clock_() - account.asked_at < kAsks;
}

PlaceAccount Places::account_of(net::Listener& listener) {
  const Account& account = accounts_[&listener];
  const auto now = clock_();
  const bool accepts = listener.is_open() || listener.has_workers();
  return {accepts ? listener.limits().capacity : 0,
          listener.config().reserved,
          listener.lease().holds ? listener.lease().places : 0,
          0,
          asks(account) ? account.asked : 0,
          now < account.busy_until};
}

void Places::share() {
  if (!rules_) return;
  shared_ = clock_();
  const std::vector<net::Listener*> all = listeners_.all();
  std::vector<PlaceAccount> accounts;
  for (net::Listener* listener : all) {
    if (!listener->lease().holds) listener->grant({true, false, 0}, total_);
    accounts.push_back(account_of(*listener));
  }
  PlaceRules rules = *rules_;
  rules.total -= std::min(rules.total, earlier_);
  rules.reserved = std::min(rules.reserved, rules.total);
  share_out(rules, accounts,
            {[&](std::size_t i, std::uint32_t places) {
               all[i]->grant({true, all[i]->lease().exhausted, places}, total_);
             },
             [&](std::size_t i) { return taken(*all[i]); }});
  bool waits = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    tell(*all[i], accounts[i].lease, accounts[i].exhausted);
    waits = waits || accounts[i].exhausted;
  }
  if (waits) timer_.start(kLook);
}

// Workers that wait are woken if they may take a place, or have their answer.
void Places::tell(net::Listener& listener, std::uint32_t places, bool exhausted) {
  Account& account = accounts_[&listener];
  const bool was_exhausted = listener.lease().exhausted;
  const bool waits = asks(account);
  listener.grant({true, exhausted, places}, total_);
  if (waits && !(exhausted && was_exhausted)) listener.ring();
  if (waits && !exhausted) account.asked = 0;
}

std::optional<Places::Figures> Places::figures() {
  if (!rules_) return std::nullopt;
  Figures out{rules_->total, rules_->reserved, earlier_};
  for (net::Listener* listener : listeners_.all()) out.taken += taken(*listener);
  return out;
}

}  // namespace bulkhead::procedure
