// A Tree with obedient processes: children start and stop immediately unless a test says otherwise. Everything that
// happens is recorded in short lines, which the tests compare.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "master/supervision/tree.h"

namespace bulkhead::supervision::testing {

using Log = std::vector<std::string>;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Specs in one line: child("a"), child("b", Restart::transient), supervisor("web", {…}).
[[nodiscard]] ChildSpec child(std::string id, Restart restart = Restart::permanent);
[[nodiscard]] ChildSpec significant(std::string id, Restart restart);
[[nodiscard]] ChildSpec supervisor(std::string id, std::vector<ChildSpec> children, SupervisorFlags flags = {});
[[nodiscard]] SupervisorFlags flags(Strategy strategy, std::uint32_t max_restarts = 3,
                                    AutoShutdown auto_shutdown = AutoShutdown::never);

class Rehearsal {
 public:
  explicit Rehearsal(std::vector<ChildSpec> children, SupervisorFlags flags = {}, RootEnd root_end = RootEnd::at_once);

  // Paths that the test answers itself.
  std::set<std::string> slow_to_start;  // StartChild is not answered
  std::set<std::string> slow_to_stop;   // StopChild is not answered; KillChild is
  std::map<std::string, int> failing;   // this many start attempts fail
  bool starving = false;                // every start attempt meets a shortage
  std::set<std::string> hopeless;       // every start attempt fails permanently

  void start() { feed(Start{}); }
  void stop() { feed(StopRequested{}); }
  void ready(const std::string& path);
  void start_fails(const std::string& path, std::string how = {});
  void exit(const std::string& path, ExitReason reason = ExitReason::abnormal, std::string how = {});
  void feed(const Event& event);
  void update(ChildSpec root) { tree_.update(std::move(root)); }
  void pass(Duration duration);  // handles every deadline on the way

  // The answer, if it has come: "ok" or OTP's word; otherwise "-".
  std::string terminate_child(const std::string& supervisor, const std::string& id);
  std::string restart_child(const std::string& supervisor, const std::string& id);
  std::string withdraw_child(const std::string& supervisor, const std::string& id);
  std::string restart_group(const std::string& supervisor, const std::string& id);
  std::string delete_child(const std::string& supervisor, const std::string& id);
  std::string start_child(const std::string& supervisor, ChildSpec spec);
  std::string start_children(const std::string& supervisor, ChildSpec with);
  [[nodiscard]] std::string answer(std::uint64_t token) const;
  [[nodiscard]] std::uint64_t last_token() const { return token_; }

  // The events since the last call: "start root/a", "ready root/a", "failed root/a", "stop root/a", "kill
  // root/a", "exit root/a", "restart root/a 0 ms #1", "removed root/a", "exceeded root/a", "+ root/web", "- root/web
  // intensity", "ending intensity", "over intensity".
  [[nodiscard]] Log log();
  // Only the lines that begin with one of these words.
  [[nodiscard]] Log log(const std::set<std::string>& words);
  [[nodiscard]] Log chain() const { return chain_; }

  [[nodiscard]] std::optional<NodeView> view(const std::string& path) const;
  [[nodiscard]] std::string state(const std::string& path) const;  // "gone" if no such node exists
  [[nodiscard]] std::string states() const;                        // all nodes: "a:running web:running web/x:…"
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Tree& tree() { return tree_; }

 private:
  void carry_out(const StartChild& command);
  void carry_out(const StopChild& command);
  void carry_out(const KillChild& command);
  void carry_out(const Reply& command);
  void carry_out(const Report& report);
  void carry_out(const TreeEnding& command);
  void carry_out(const TreeTerminated& command);
  std::string operate(Operation operation, const std::string& supervisor, const std::string& id, ChildSpec spec = {});
  void add_states(NodeId id, std::string& out) const;

  Tree tree_;
  Instant now_{seconds(1000)};
  std::vector<Event> answers_;  // given after all commands of a step have been read
  std::map<std::uint64_t, ReplyError> replies_;
  std::uint64_t token_ = 0;
  Log log_;
  Log chain_;
};

}  // namespace bulkhead::supervision::testing
