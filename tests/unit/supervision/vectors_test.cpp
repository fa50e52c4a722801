// Every recorded OTP scenario, played and compared literally, down to the layout of the file.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "master/control/simulate.h"

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

// README, "Using the vectors": how many failed tries stand in a row depends on the implementation where the next event
// does not wait. Ours agree all the same, so nothing is left out here; this is where it would be.
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

TEST_CASE("the rules do what OTP was seen to do, in every recorded scenario") {
  struct Row {
    const char* file;
    std::size_t scenarios;
  };
  for (const Row& row : {Row{"named.json", 133}, Row{"random.json", 60}}) {
    const Json recorded = Json::parse(read(row.file));
    REQUIRE(recorded.size() == row.scenarios);
    for (const Json& scenario : recorded) {
      const SimulateResult result = simulate(without_expectations(scenario).dump(), nullptr);
      REQUIRE(result.error.empty());
      compare(scenario, Json::parse(result.output));
    }
  }
}

TEST_CASE("a recorded file comes out of the simulator byte for byte") {
  for (const char* const file : {"named.json", "random.json"}) {
    const std::string recorded = read(file);
    const SimulateResult result = simulate(recorded, nullptr);
    CHECK(result.error.empty());
    CHECK((result.output == recorded));
  }
}

}  // namespace bulkhead::simulation
