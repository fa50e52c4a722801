// After an upgrade: the workers that another program started are replaced, listener by listener. One of ours is started
// beside them and must become ready before the first of them leaves; the others follow one by one; at the end there are
// as many as before. Their connections go on, adopted as ever.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace bulkhead {

class Daemon;

class WorkerRenewal {
 public:
  using Done = std::function<void(const std::string& problem)>;

  explicit WorkerRenewal(Daemon& daemon) : daemon_(daemon) {}

  // `done` is called once, at once or later; a problem: some worker of ours did not become ready, and those that are
  // left go on.
  void begin(std::uint64_t incarnation, Done done);
  void abandon();  // no worker more is started; `done` is not called

 private:
  void next_listener();
  void try_one(const std::string& path);
  void next_worker(const std::string& path, const std::string& extra);
  void failed(const std::string& worker);
  void restart(const std::string& path, const std::string& extra, const std::string& worker, int attempts_left);
  void remove(const std::string& worker);
  [[nodiscard]] std::vector<std::string> outdated(const std::string& listener) const;

  Daemon& daemon_;
  std::uint64_t incarnation_ = 1;
  Done done_;
  std::deque<std::string> listeners_;
  bool abandoned_ = false;
};

}  // namespace bulkhead
