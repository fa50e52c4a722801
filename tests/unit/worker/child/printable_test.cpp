#include "worker/child/printable.h"

#include <catch2/catch.hpp>
#include <string>

using namespace bulkhead;
using namespace std::string_literals;

namespace {

std::string text(const std::string& bytes) {
  char out[64];
  return child::printable(bytes, out, sizeof out) ? out : "none";
}

}  // namespace

TEST_CASE("printable ASCII stays as it is, all other bytes are escaped") {
  CHECK(text("www.example.org") == "www.example.org");
  CHECK(text("Ada Lovelace (test)") == "Ada Lovelace (test)");
  CHECK(text("a\0b\n\x1b\x7f\xff"s) == "a\\x00b\\x0a\\x1b\\x7f\\xff");
  CHECK(text("\\x41") == "\\x5cx41");
  CHECK(text("() { :; }") == "\\x28) { :; }");
}

TEST_CASE("an empty text is not a value, nor is one that does not fit") {
  CHECK(text("") == "none");
  CHECK(text(std::string(63, 'x')) == std::string(63, 'x'));
  CHECK(text(std::string(64, 'x')) == "none");
  CHECK(text(std::string(15, '\xff')).size() == 60);
  CHECK(text(std::string(16, '\xff')) == "none");
}
