// Files of environment variables.
#include "master/config/env_file.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

std::string read(std::string_view text) {
  const EnvFile file = parse_env_file(text);
  std::string out;
  for (const auto& [name, value] : file.variables) out += fmt::format("{}=<{}>\n", name, value);
  for (const Finding& finding : file.findings) {
    out += fmt::format("{}:{}: {}\n", finding.at.line, finding.at.column, finding.message);
  }
  return out;
}

TEST_CASE("lines of an env_file") {
  CHECK(read("") == "");
  CHECK(read("# nothing\n\n \t\r\n  # A=1\n") == "");
  CHECK(read("A=1\nB=") == "A=<1>\nB=<>\n");
  CHECK(read("  A= 1 # 2 \r\nB=$A=${A}\n") == "A=<1 # 2>\nB=<$A=${A}>\n");
  CHECK(read("A='it is \"$x\\' \t\nB=\"a \\\"b\\\" \\\\ \\n '\"\n") == "A=<it is \"$x\\>\nB=<a \"b\" \\ \\n '>\n");
  CHECK(read("A=it's\nB=''\nc.d-e=\xc3\xa9\n") == "A=<it's>\nB=<>\nc.d-e=<\xc3\xa9>\n");
}

TEST_CASE("errors of an env_file, with line and column") {
  CHECK(read("A=1\n\n  export B=2\n") ==
        "A=<1>\n3:3: expected NAME=VALUE without blanks in the name; leave out \"export\"\n");
  CHECK(read("A B=2\nC\n=3\n") ==
        "1:1: expected NAME=VALUE without blanks in the name\n2:1: expected NAME=VALUE\n3:1: "
        "expected NAME=VALUE\n");
  CHECK(read("A=1\nA=2\n") == "A=<1>\n2:1: \"A\" is already set in line 1\n");
  CHECK(read("A='1\nB=\"1\\\"\n") == "1:3: the closing quote is missing\n2:3: the closing quote is missing\n");
  CHECK(read("A='1' 2\n") == "1:3: only blanks may follow the closing quote; put the whole value in quotes\n");
  CHECK(read("A=\xff\nB=" + std::string(1, '\0') + "\n") ==
        "1:1: expected text in UTF-8 without NUL\n2:1: expected text in UTF-8 without NUL\n");
}

struct File {
  explicit File(std::string_view text) { std::ofstream(path) << text; }
  ~File() { (void)std::remove(path.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  std::string path = std::string("/tmp/bulkhead-env-") + std::to_string(getpid());
};

TEST_CASE("an env_file is read with the configuration, and its errors are reported once, with its name") {
  const File file("A=1\nwrong\n");
  const std::string key = fmt::format(R"("env_file":"{}")", file.path);
  const auto child = [&](const char* id) {
    return fmt::format(R"({{"id":"{}","type":"process","argv":["/bin/true"],{}}})", id, key);
  };
  const std::string two = file_of(Shape::child, child("a") + "," + child("b"));
  CHECK(texts(parse(two, "bad.json", "/", FakeHost())) ==
        file.path + ":2:1: /supervisor/children/0/env_file: expected NAME=VALUE");
  std::ofstream(file.path) << "A=1\nTCPREMOTEIP=::1\n";
  const Loaded good = parse(two, "good.json", "/", FakeHost());
  REQUIRE(texts(good).empty());
  CHECK(good.config->root.children[1].process->child.file_env.front() == std::pair<std::string, std::string>("A", "1"));
  CHECK(good.effective.find("TCPREMOTEIP") == std::string::npos);
  CHECK(texts(parse(file_of(Shape::listener, key), "bad.json", "/", FakeHost())) ==
        "bad.json:2:12: /supervisor/children/0/env_file: \"TCPREMOTEIP\" in it describes a program's connection: it is "
        "set or left out for each connection, and cannot be configured");
}

TEST_CASE("an env_file that cannot be read") {
  CHECK(texts(parse(file_of(Shape::process, R"("env_file":"nothing.env")"), "bad.json", "/nowhere", FakeHost())) ==
        "bad.json:2:12: /supervisor/children/0/env_file: cannot use \"/nowhere/nothing.env\": cannot open: No such "
        "file or "
        "directory");
}

}  // namespace
}  // namespace bulkhead::config
