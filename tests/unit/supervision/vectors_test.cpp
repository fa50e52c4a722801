// Every recorded OTP scenario, played and compared literally, including the layout of the file.
#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "master/simulate/simulate.h"

namespace bulkhead::simulation {

namespace {

using Json = nlohmann::ordered_json;

std::string read(const std::string& name) {
  std::ifstream file(std::string(BULKHEAD_VECTORS) + "/" + name);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

Json without_expectations(Json scenario) {
  scenario.erase("expect");
  scenario.erase("expect_start");
  return scenario;
}

// README, "Using the vectors": where failed attempts stand depends on the implementation if the next event does not
// wait, because this one attends to siblings meanwhile. They are left out there.
Json without_failed_attempts(Json expectation) {
  Json rest = Json::array();
  for (const Json& entry : expectation.value("trace", Json::array())) {
    if (!entry.contains("start_failed")) rest.push_back(entry);
  }
  if (expectation.contains("trace")) expectation["trace"] = std::move(rest);
  return expectation;
}

bool is_tagged(const Json& scenario, const char* tag) {
  const Json tags = scenario.value("tags", Json::array());
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

void compare(const Json& recorded, const Json& played) {
  INFO(recorded.at("name").get<std::string>());
  CHECK(played.at("expect_start").dump(1) == recorded.at("expect_start").dump(1));
  REQUIRE(played.at("expect").size() == recorded.at("expect").size());
  for (std::size_t i = 0; i < recorded.at("expect").size(); ++i) {
    INFO("event " << i << ": " << recorded.at("events")[i].dump());
    const bool tolerant = is_tagged(recorded, "nowait");
    const auto shown = [tolerant](const Json& one) { return (tolerant ? without_failed_attempts(one) : one).dump(1); };
    CHECK(shown(played.at("expect")[i]) == shown(recorded.at("expect")[i]));
  }
}

}  // namespace

TEST_CASE("every recorded scenario gives OTP's result", "[vectors]") {
  struct Row {
    const char* file;
    std::size_t scenarios;
  };
  for (const Row& row : {Row{"named.json", 133}, Row{"random.json", 60}}) {
    const std::string text = read(row.file);
    Json recorded = Json::parse(text);
    REQUIRE(recorded.size() == row.scenarios);
    Json asked = Json::array();
    for (const Json& scenario : recorded) asked.push_back(without_expectations(scenario));
    const SimulateResult result = simulate(asked.dump(), nullptr);
    REQUIRE(result.error.empty());
    if (result.output == text) continue;
    Json played = Json::parse(result.output);
    REQUIRE(played.size() == recorded.size());
    for (std::size_t i = 0; i < recorded.size(); ++i) compare(recorded[i], played[i]);
    for (std::size_t i = 0; i < recorded.size(); ++i) {
      if (!is_tagged(recorded[i], "nowait")) continue;
      recorded[i].erase("expect");
      played[i].erase("expect");
    }
    INFO(row.file << ": the layout differs");
    CHECK(played.dump() == recorded.dump());
  }
}

}  // namespace bulkhead::simulation
