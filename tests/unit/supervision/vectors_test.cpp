// Every recorded OTP scenario, played and compared literally, including the layout of the file.
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

// README, "Using the vectors": how many failed attempts come in a row depends on the implementation if the next event
// does not wait. This implementation agrees with the recordings even there, so nothing is left out here; this is the
// place to do it.
void compare(const Json& recorded, const Json& played) {
  INFO(recorded.at("name").get<std::string>());
  CHECK(played.at("expect_start").dump(1) == recorded.at("expect_start").dump(1));
  REQUIRE(played.at("expect").size() == recorded.at("expect").size());
  for (std::size_t i = 0; i < recorded.at("expect").size(); ++i) {
    INFO("event " << i << ": " << recorded.at("events")[i].dump());
    CHECK(played.at("expect")[i].dump(1) == recorded.at("expect")[i].dump(1));
  }
}

}  // namespace

TEST_CASE("every recorded scenario gives OTP's result, byte for byte", "[vectors]") {
  struct Row {
    const char* file;
    std::size_t scenarios;
  };
  for (const Row& row : {Row{"named.json", 133}, Row{"random.json", 60}}) {
    const std::string text = read(row.file);
    const Json recorded = Json::parse(text);
    REQUIRE(recorded.size() == row.scenarios);
    Json asked = Json::array();
    for (const Json& scenario : recorded) asked.push_back(without_expectations(scenario));
    const SimulateResult result = simulate(asked.dump(), nullptr);
    REQUIRE(result.error.empty());
    if (result.output == text) continue;
    const Json played = Json::parse(result.output);
    REQUIRE(played.size() == recorded.size());
    for (std::size_t i = 0; i < recorded.size(); ++i) compare(recorded[i], played[i]);
    FAIL_CHECK(row.file << ": the layout differs");
  }
}

}  // namespace bulkhead::simulation
