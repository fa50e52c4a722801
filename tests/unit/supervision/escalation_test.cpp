// Restart intensity as seen from outside, failing restarts, and the effect one level up.
#include <catch2/catch.hpp>

#include "tests/unit/supervision/rehearsal.h"

namespace bulkhead::supervision::testing {

TEST_CASE("one restart too many stops the others in reverse order and ends the supervisor") {
  Rehearsal tree({child("a"), child("b"), child("c")}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.exit("root/b");
  (void)tree.log();
  tree.exit("root/b");
  CHECK(tree.log() == Log{"exit root/b", "exceeded root/b", "stop root/c", "stopped root/c", "stop root/a",
                          "stopped root/a", "- root intensity", "over intensity"});
  CHECK(tree.chain() == Log{"root/b ended abnormally and needed the 2nd restart within 5 s, more than max_restarts 1 "
                            "allows; root gave up"});
}

TEST_CASE("a root that asks ends its children when it is told to; below it, they are supervised until then") {
  Rehearsal tree({child("a"), supervisor("s", {child("x")}), child("b")}, flags(Strategy::one_for_one, 0),
                 RootEnd::asks);
  tree.slow_to_stop = {"root/a"};
  tree.start();
  CHECK(tree.terminate_child("root", "a") == "-");
  CHECK(tree.restart_child("root", "a") == "-");
  (void)tree.log();
  tree.exit("root/b");
  CHECK(tree.log() == Log{"exit root/b", "exceeded root/b", "ending intensity"});
  CHECK(tree.chain().size() == 1);
  CHECK(tree.answer(2) == "noproc");
  tree.exit("root/s/x");
  CHECK(tree.log() == Log{"exit root/s/x", "restart root/s/x 0 ms #1", "start root/s/x", "ready root/s/x"});
  tree.exit("root/a");
  CHECK(tree.answer(1) == "ok");
  CHECK(tree.states() == "a:stopped s:running s/x:running b:stopped");
  (void)tree.log();
  tree.stop();
  CHECK(tree.log() ==
        Log{"stop root/s/x", "stopped root/s/x", "- root/s parent", "- root intensity", "over intensity"});
}

TEST_CASE("a root that asks does so for auto_shutdown and for a start that fails, and not when it is asked to stop") {
  Rehearsal job({significant("job", Restart::transient)},
                flags(Strategy::one_for_one, 3, AutoShutdown::any_significant), RootEnd::asks);
  job.start();
  job.exit("root/job", ExitReason::normal);
  CHECK(job.log({"ending", "over"}) == Log{"ending auto_shutdown"});
  job.stop();
  CHECK(job.log({"ending", "over"}) == Log{"over auto_shutdown"});

  Rehearsal failing({child("a"), child("b")}, {}, RootEnd::asks);
  failing.failing["root/b"] = 1;
  failing.start();
  CHECK(failing.log() ==
        Log{"+ root", "start root/a", "ready root/a", "start root/b", "failed root/b", "ending start_failed"});
  failing.stop();
  CHECK(failing.log({"stop", "over"}) == Log{"stop root/a", "over start_failed"});

  Rehearsal asked({child("a")}, {}, RootEnd::asks);
  asked.start();
  asked.stop();
  CHECK(asked.log({"ending", "over"}) == Log{"over request"});
}

TEST_CASE("a nested supervisor that gave up is restarted as a whole, with an empty history, and counts above") {
  Rehearsal tree({child("a"), supervisor("s", {child("x"), child("y")}, flags(Strategy::one_for_one, 1))});
  tree.start();
  tree.exit("root/s/x");
  (void)tree.log();
  tree.exit("root/s/x");
  CHECK(tree.log({"+", "-", "restart", "start", "stop", "exceeded"}) ==
        Log{"exceeded root/s/x", "stop root/s/y", "- root/s intensity", "restart root/s 0 ms #1", "+ root/s",
            "start root/s/x", "start root/s/y"});
  CHECK(tree.view("root/s")->restarts_in_window == 0);
  CHECK(tree.view("root/s")->restarts == 1);
  CHECK(tree.view("root")->restarts_in_window == 1);
}

TEST_CASE("giving up is an exit with reason shutdown: transient stays stopped, temporary is removed") {
  for (const Restart restart : {Restart::transient, Restart::temporary}) {
    ChildSpec nested = supervisor("s", {child("x")}, flags(Strategy::one_for_one, 0));
    nested.restart = restart;
    Rehearsal tree({nested, child("a")});
    tree.start();
    tree.exit("root/s/x");
    CHECK(tree.states() == (restart == Restart::transient ? "s:stopped a:running" : "a:running"));
    CHECK(tree.view("root")->restarts_in_window == 0);
  }
}

TEST_CASE("the chain of causes goes from the first child that failed up to the root") {
  const SupervisorFlags none = flags(Strategy::one_for_one, 0);
  Rehearsal tree({supervisor("db", {supervisor("cache", {child("redis")}, none)}, none)}, none);
  tree.start();
  tree.exit("root/db/cache/redis");
  CHECK(
      tree.chain() ==
      Log{"root/db/cache/redis ended abnormally and needed the 1st restart within 5 s, more than max_restarts 0 "
          "allows; "
          "root/db/cache gave up",
          "root/db could not keep root/db/cache, which gave up: it needed the 1st restart within 5 s, more than "
          "max_restarts 0 allows; root/db gave up",
          "root could not keep root/db, which gave up: it needed the 1st restart within 5 s, more than max_restarts 0 "
          "allows; root gave up"});
}

TEST_CASE("the chain names starts that kept failing") {
  Rehearsal tree({supervisor("s", {child("x")}, flags(Strategy::one_for_one, 0))}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.failing["root/s/x"] = 9;
  tree.exit("root/s/x");
  CHECK(tree.chain() ==
        Log{"root/s/x could not be started; so root/s could not start",
            "root could not keep root/s, which could not be started: it needed the 2nd restart within 5 s, more than "
            "max_restarts 1 allows; root gave up"});
}

TEST_CASE("the chain reports each last end in the words of its event") {
  Rehearsal tree({supervisor("s", {child("x"), child("y")}, flags(Strategy::one_for_one, 0))},
                 flags(Strategy::one_for_one, 1));
  tree.slow_to_start = {"root/s/y"};
  tree.start();
  tree.ready("root/s/y");
  tree.exit("root/s/x", ExitReason::abnormal, "was killed by SIGSEGV (core dumped)");
  tree.start_fails("root/s/y", "was not ready within start_timeout");
  CHECK(tree.chain() ==
        Log{"root/s/y was not ready within start_timeout; so root/s could not start",
            "root could not keep root/s, which could not be started: it needed the 2nd restart within 5 s, more than "
            "max_restarts 1 allows; root gave up"});

  Rehearsal other({child("a")}, flags(Strategy::one_for_one, 1));
  other.start();
  other.exit("root/a", ExitReason::abnormal, "was killed by SIGSEGV");
  other.exit("root/a", ExitReason::abnormal, "ended with exit status 3");
  CHECK(other.chain() == Log{"root/a ended with exit status 3 and needed the 2nd restart within 5 s, more than "
                             "max_restarts 1 allows; root gave up"});
}

TEST_CASE("the words of an earlier end are not used for a later one") {
  Rehearsal tree({child("a")}, flags(Strategy::one_for_one, 1));
  tree.start();
  tree.exit("root/a", ExitReason::abnormal, "was killed by SIGSEGV");
  tree.exit("root/a");
  CHECK(tree.chain() == Log{"root/a ended abnormally and needed the 2nd restart within 5 s, more than max_restarts 1 "
                            "allows; root gave up"});
}

TEST_CASE("a failing restart is retried through the queue, and every try counts") {
  Rehearsal tree({child("a")}, flags(Strategy::one_for_one, 3));
  tree.start();
  tree.failing["root/a"] = 2;
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log({"restart", "failed", "ready"}) == Log{"restart root/a 0 ms #1", "failed root/a",
                                                        "restart root/a 0 ms #2", "failed root/a",
                                                        "restart root/a 0 ms #3", "ready root/a"});
}

TEST_CASE("exits of siblings, operations and stops are handled during an attempt") {
  Rehearsal tree({child("a"), child("b")}, flags(Strategy::one_for_one, 9));
  tree.start();
  tree.slow_to_start = {"root/b"};
  tree.exit("root/b");
  (void)tree.log();
  tree.exit("root/a");
  CHECK(tree.log({"start"}) == Log{"start root/a"});
  CHECK(tree.restart_child("root", "b") == "restarting");
  tree.start_fails("root/b");
  CHECK(tree.log({"failed", "start"}) == Log{"failed root/b", "start root/b"});
  tree.stop();
  CHECK(tree.log({"failed", "start", "stop", "over"}) ==
        Log{"stop root/b", "failed root/b", "stop root/a", "over request"});
}

TEST_CASE("terminate_child ends the attempts") {
  Rehearsal tree({child("a")}, flags(Strategy::one_for_one, 9));
  tree.start();
  tree.slow_to_start = {"root/a"};
  tree.exit("root/a");
  CHECK(tree.terminate_child("root", "a") == "ok");
  CHECK(tree.state("root/a") == "stopped");
}

TEST_CASE("a nested supervisor whose restart fails is retried and counted by its parent") {
  Rehearsal tree({supervisor("s", {child("x"), child("y")}, flags(Strategy::one_for_one, 0))},
                 flags(Strategy::one_for_one, 4));
  tree.start();
  tree.failing["root/s/y"] = 2;
  (void)tree.log();
  tree.exit("root/s/x");
  CHECK(tree.log({"-", "restart", "failed"}) ==
        Log{"- root/s intensity", "restart root/s 0 ms #1", "failed root/s/y", "- root/s start_failed",
            "restart root/s 0 ms #2", "failed root/s/y", "- root/s start_failed", "restart root/s 0 ms #3"});
  CHECK(tree.states() == "s:running s/x:running s/y:running");
}

TEST_CASE("a nested supervisor that ends itself while its parent stops it counts as stopped") {
  Rehearsal tree({supervisor("s", {child("x"), child("y")}, flags(Strategy::one_for_one, 0))});
  tree.slow_to_stop = {"root/s/y"};
  tree.start();
  tree.exit("root/s/x");
  CHECK(tree.terminate_child("root", "s") == "-");
  tree.exit("root/s/y");
  CHECK(tree.log({"-", "restart"}) == Log{"- root/s intensity"});
  CHECK(tree.answer(tree.last_token()) == "ok");
  CHECK(tree.states() == "s:stopped");
}

TEST_CASE("a restarted supervisor has the children of its specification, as new nodes") {
  Rehearsal tree({supervisor("s", {child("x"), child("t", Restart::temporary)})});
  tree.start();
  const NodeId before = tree.view("root/s/x")->id;
  CHECK(tree.start_child("root/s", child("added")) == "ok");
  CHECK(tree.terminate_child("root/s", "x") == "ok");
  CHECK(tree.delete_child("root/s", "x") == "ok");
  tree.exit("root/s/t");
  CHECK(tree.terminate_child("root", "s") == "ok");
  CHECK(tree.states() == "s:stopped");
  CHECK(tree.restart_child("root", "s") == "ok");
  CHECK(tree.states() == "s:running s/x:running s/t:running");
  CHECK(tree.view("root/s/x")->id != before);
}

}  // namespace bulkhead::supervision::testing
