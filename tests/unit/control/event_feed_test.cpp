// The events that a reader of the ring gets, the report of missed ones, and the amount that waits.
#include "master/control/event_feed.h"

#include <algorithm>
#include <catch2/catch.hpp>

namespace bulkhead::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kAll = std::size_t{1} << 30;
constexpr int kCapacity = 200;  // a small ring loses as a large one does

void publish(journal::EventRing& ring, int count) {
  for (int i = 0; i < count; ++i) ring.publish("child_ready", "root/a", {{"pid", i}});
}

Json answer_of(EventFeed& feed, std::size_t limit = kAll) {
  std::string out;
  while (feed.answering()) {
    std::string part;
    feed.fill(part, limit);
    REQUIRE_FALSE(part.empty());
    out += part;
  }
  const Json line = Json::parse(out.substr(0, out.find('\n')));
  CHECK(line["id"] == 7);
  return line["result"];
}

std::vector<std::uint64_t> seqs(const Json& events) {
  std::vector<std::uint64_t> out;
  for (const Json& event : events) out.push_back(event["seq"]);
  return out;
}

TEST_CASE("without since the whole ring is sent, in order") {
  journal::EventRing ring;
  publish(ring, 3);
  EventFeed feed(ring, 7, {}, false);
  const Json result = answer_of(feed);
  CHECK(seqs(result["events"]) == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(result["last_seq"] == 3);
  CHECK(result["missed"] == false);
  CHECK(feed.finished());
}

TEST_CASE("an empty ring is an empty answer") {
  journal::EventRing ring;
  EventFeed feed(ring, 7, {}, false);
  CHECK(answer_of(feed) == Json::parse(R"({"events":[],"last_seq":0,"missed":false})"));
}

TEST_CASE("last takes the end of what since leaves") {
  journal::EventRing ring;
  publish(ring, 5);
  struct Row {
    EventFeed::From from;
    std::vector<std::uint64_t> expected;
  };
  const Row rows[] = {{{.last = 0}, {}},
                      {{.last = 2}, {4, 5}},
                      {{.last = 9}, {1, 2, 3, 4, 5}},
                      {{.since = 1, .last = 2}, {4, 5}},
                      {{.since = 3, .last = 4}, {4, 5}}};
  for (const Row& row : rows) {
    EventFeed feed(ring, 7, row.from, false);
    const Json result = answer_of(feed);
    CHECK(seqs(result["events"]) == row.expected);
    CHECK(result["last_seq"] == 5);
    CHECK(result["missed"] == false);
  }
}

TEST_CASE("since is exclusive") {
  journal::EventRing ring;
  publish(ring, 5);
  struct Row {
    std::uint64_t since;
    std::vector<std::uint64_t> expected;
    bool missed;
  };
  const Row rows[] = {
      {0, {1, 2, 3, 4, 5}, false}, {3, {4, 5}, false}, {5, {}, false}, {6, {}, true}, {~0ULL, {}, true}};
  for (const Row& row : rows) {
    INFO(row.since);
    EventFeed feed(ring, 7, {.since = row.since}, false);
    const Json result = answer_of(feed);
    CHECK(seqs(result["events"]) == row.expected);
    CHECK(result["missed"] == row.missed);
    CHECK(result["last_seq"] == 5);
  }
}

TEST_CASE("events lost from the ring are reported") {
  journal::EventRing ring(kCapacity);
  publish(ring, kCapacity + 10);  // 11 is the oldest
  struct Row {
    std::uint64_t since;
    bool missed;
  };
  for (const Row& row : {Row{5, true}, Row{9, true}, Row{10, false}, Row{11, false}}) {
    INFO(row.since);
    EventFeed feed(ring, 7, {.since = row.since}, false);
    CHECK(answer_of(feed)["missed"] == row.missed);
  }
  EventFeed feed(ring, 7, {}, false);
  const Json result = answer_of(feed);
  CHECK(result["missed"] == false);  // nothing was asked for that is not there
  CHECK(result["events"].size() == kCapacity);
}

TEST_CASE("a long answer is sent in pieces that exceed the requested size by at most one event") {
  journal::EventRing ring;
  publish(ring, 1000);
  EventFeed feed(ring, 7, {}, false);
  std::size_t pieces = 0;
  while (feed.answering()) {
    std::string part;
    feed.fill(part, 4096);
    CHECK(part.size() < 4096 + 200);
    ++pieces;
  }
  CHECK(pieces > 10);
}

TEST_CASE("a reader that the ring overtakes during its answer is told that it missed events") {
  journal::EventRing ring(kCapacity);
  publish(ring, 100);
  EventFeed feed(ring, 7, {.since = 0}, false);
  std::string out;
  feed.fill(out, 500);
  publish(ring, kCapacity - 20);
  feed.fill(out, kAll);
  const Json result = Json::parse(out)["result"];
  CHECK(result["missed"] == true);
  CHECK(result["last_seq"] == 100);
  CHECK(seqs(result["events"]).back() == 100);
}

TEST_CASE("a follower gets each event after the answer once") {
  journal::EventRing ring;
  publish(ring, 2);
  EventFeed feed(ring, 7, {}, true);
  ring.on_event = [&feed](const journal::EventRecord& record) { feed.published(record); };
  publish(ring, 1);  // between request and answer
  std::string out;
  feed.fill(out, kAll);
  CHECK_FALSE(feed.finished());
  const std::size_t end = out.find('\n');
  CHECK(seqs(Json::parse(out.substr(0, end))["result"]["events"]) == std::vector<std::uint64_t>{1, 2});
  const Json third = Json::parse(out.substr(end + 1));
  CHECK(third["method"] == "event");
  CHECK(third["params"]["seq"] == 3);
  CHECK(feed.behind() == 0);

  out.clear();
  feed.fill(out, kAll);
  CHECK(out.empty());
  publish(ring, 1);
  CHECK(feed.behind() > 0);
  feed.fill(out, kAll);
  CHECK(Json::parse(out)["params"]["seq"] == 4);
  CHECK(feed.behind() == 0);
}

TEST_CASE("a follower that does not read is reported as behind, then as overtaken") {
  journal::EventRing ring(kCapacity);
  EventFeed feed(ring, 7, {}, true);
  ring.on_event = [&feed](const journal::EventRecord& record) { feed.published(record); };
  CHECK(answer_of(feed)["events"].empty());
  publish(ring, 100);
  CHECK(feed.behind() > 5000);
  CHECK_FALSE(feed.overtaken());
  publish(ring, kCapacity);
  CHECK(feed.overtaken());
  std::string out;
  feed.fill(out, kAll);
  CHECK(out.empty());  // no gap is passed over in silence
}

TEST_CASE("a path with many events cannot push out those of others, and a reader learns of the gap") {
  journal::EventRing ring(kCapacity);
  for (int i = 0; i < 3; ++i) ring.publish("listener_bound", "root/b");
  publish(ring, 4 * kCapacity);
  CHECK(ring.records().size() == kCapacity);
  CHECK(std::ranges::count(ring.records(), "root/b", &journal::EventRecord::path) == 3);
  EventFeed all(ring, 7, {}, false);
  const Json result = answer_of(all);
  CHECK(result["events"].size() == kCapacity);
  CHECK(result["events"].front()["path"] == "root/b");
  CHECK(result["missed"] == false);
  EventFeed since(ring, 7, {.since = 2}, false);
  CHECK(answer_of(since)["missed"] == true);
  EventFeed recent(ring, 7, {.since = ring.last_seq() - 5}, false);
  CHECK(answer_of(recent)["missed"] == false);
}

TEST_CASE("many paths with many events share the room") {
  journal::EventRing ring(kCapacity);
  for (int i = 0; i < 10; ++i) ring.publish("child_ready", "root/quiet");
  for (int i = 0; i < 5 * kCapacity; ++i) ring.publish("connection_crashed", i % 3 == 0 ? "root/a" : "root/b");
  CHECK(std::ranges::count(ring.records(), "root/quiet", &journal::EventRecord::path) == 10);
  CHECK(std::ranges::count(ring.records(), "root/a", &journal::EventRecord::path) >= (kCapacity - 10) / 2 - 1);
  CHECK(std::ranges::is_sorted(ring.records(), {}, &journal::EventRecord::seq));
}

TEST_CASE("another program's ring knows what is missing") {
  journal::EventRing before(kCapacity);
  before.publish("listener_bound", "root/b");
  publish(before, 2 * kCapacity);
  journal::EventRing ring(kCapacity);
  ring.resume(before.records(), before.last_seq());
  CHECK(ring.last_dropped() == before.last_dropped());
  publish(ring, 1);
  CHECK(ring.records().size() == kCapacity);
  CHECK(ring.records().front().path == "root/b");
}

}  // namespace
}  // namespace bulkhead::control
