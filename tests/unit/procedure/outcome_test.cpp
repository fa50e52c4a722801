// Answers in words.
#include "master/procedure/outcome.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/unit/rig/rig.h"

namespace bulkhead::procedure {
namespace {

using namespace rig;
using supervision::ReplyError;

TEST_CASE("only a completed operation counts as a success") {
  CHECK(Outcome{});
  CHECK_FALSE(refused("not now"));
  CHECK_FALSE(negative(ReplyError::running, "it runs"));
  CHECK(outcome_of(ReplyError::none, "root/db"));
}

TEST_CASE("error words are OTP's") {
  CHECK(word_of(ReplyError::none) == "ok");
  CHECK(word_of(ReplyError::not_found) == "not_found");
  CHECK(word_of(ReplyError::running) == "running");
  CHECK(word_of(ReplyError::restarting) == "restarting");
  CHECK(word_of(ReplyError::already_started) == "already_started");
  CHECK(word_of(ReplyError::already_present) == "already_present");
  CHECK(word_of(ReplyError::start_failed) == "start_failed");
  CHECK(word_of(ReplyError::invalid_spec) == "invalid_spec");
  CHECK(word_of(ReplyError::noproc) == "noproc");
}

TEST_CASE("a negative answer of the tree names the path and keeps OTP's word") {
  const Outcome outcome = outcome_of(ReplyError::already_started, "root/db");
  CHECK(outcome.kind == Outcome::Kind::negative);
  CHECK(outcome.word == ReplyError::already_started);
  CHECK(outcome.text == "root/db: already_started");
}

TEST_CASE("a missing node and a missing supervisor give the same text") {
  for (const ReplyError error : {ReplyError::not_found, ReplyError::noproc}) {
    const Outcome outcome = outcome_of(error, "root/db");
    CHECK(outcome.word == error);
    CHECK(outcome.text == "there is no node root/db");
  }
}

TEST_CASE("a refusal by the daemon is a sentence without an OTP word") {
  const Outcome outcome = refused("the daemon is stopping");
  CHECK(outcome.kind == Outcome::Kind::refused);
  CHECK(outcome.word == ReplyError::none);
  CHECK(outcome.text == "the daemon is stopping");
}

TEST_CASE("a mistyped path gets the nearest existing one suggested, at any depth") {
  Rig rig(file_with(listener_entry("echo") + R"(,{"id":"web","type":"supervisor","children":[)" +
                    process_entry("assets") + "]}"));
  rig.start();
  CHECK(no_such(rig.engine, "listener", "root/ecco").text == "there is no listener root/ecco; did you mean root/echo?");
  CHECK(no_such(rig.engine, "node", "root/web/asets").text ==
        "there is no node root/web/asets; did you mean root/web/assets?");
  CHECK(no_such(rig.engine, "worker", "root/ecoh/2").text ==
        "there is no worker root/ecoh/2; did you mean root/echo/2?");
}

TEST_CASE("a path that resembles nothing gets no suggestion") {
  Rig rig(file_with(process_entry("db")));
  rig.start();
  const Outcome outcome = no_such(rig.engine, "listener", "some/other/place");
  CHECK(outcome.text == "there is no listener some/other/place");
  CHECK(outcome.word == ReplyError::not_found);
}

TEST_CASE("root itself is never suggested") {
  Rig rig(file_with(process_entry("a-long-name")));
  rig.start();
  CHECK(no_such(rig.engine, "listener", "roof").text == "there is no listener roof");
}

}  // namespace
}  // namespace bulkhead::procedure
