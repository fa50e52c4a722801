#include "master/procedure/readiness.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace bulkhead::procedure {

Readiness::Readiness(const running::Engine& engine, const running::Listeners& listeners, journal::Narrator& narrator,
                     int ready_fd, std::function<void()> on_ready)
    : engine_(engine),
      listeners_(listeners),
      narrator_(narrator),
      ready_fd_(ready_fd),
      on_ready_(std::move(on_ready)) {}

bool Readiness::is_running(const std::string& path) const {
  const auto view = engine_.view(path);
  return view && view->state == supervision::NodeState::running;
}

void Readiness::look() {
  for (const auto& [path, listener] : listeners_.by_path()) {
    if (has_announced(path) || !listener->is_open() || !is_running(path)) continue;
    announced_.insert(path);
    narrator_.serving(*listener);
  }
  if (ready_ || !is_running("root")) return;
  ready_ = true;
  write_ready_line();
  on_ready_();
}

void Readiness::write_ready_line() {
  if (ready_fd_ < 0) return;
  nlohmann::ordered_json line{{"pid", getpid()}, {"endpoints", nlohmann::ordered_json::array()}};
  for (const auto& [path, listener] : listeners_.by_path()) {
    for (const net::ListeningSocket& socket : listener->sockets()) {
      line["endpoints"].push_back({{"path", path}, {"listen", socket.address.text}, {"address", socket.text}});
    }
  }
  const std::string text = line.dump() + "\n";
  (void)!::write(ready_fd_, text.data(), text.size());
  ::close(std::exchange(ready_fd_, -1));
}

}  // namespace bulkhead::procedure
