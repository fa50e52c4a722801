// The store of the last records: what goes when there is no room, and what a reader gets meanwhile.
#include "master/journal/memory.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::journal {
namespace {

using Words = std::vector<std::string>;

constexpr std::size_t kRecord = 20;  // bytes of a record of keep()

// A text of 8 characters.
std::string text(int number) {
  std::string digits = std::to_string(number);
  return std::string(8 - digits.size(), '0') + digits;
}

void keep(Memory& memory, const std::string& subject, int first, int count) {
  for (int i = first; i < first + count; ++i) memory.keep(subject, text(i));
}

Words read(Memory::Reader& reader) {
  Words out;
  while (const auto record = reader.next()) {
    if (record->missed != 0) out.push_back("missed " + std::to_string(record->missed));
    out.emplace_back(record->text);
  }
  return out;
}

Words all(const Memory& memory, const std::string& path = "root", std::optional<std::uint64_t> last = {}) {
  Memory::Reader reader(memory, path, last);
  return read(reader);
}

TEST_CASE("records come back in their order, those at or below a path") {
  Memory memory;
  memory.keep("root/a", "one");
  memory.keep("root/b", "two");
  memory.keep("root/a/1", "three");
  memory.keep("root/a.b", "four");
  memory.keep("root", "five");
  CHECK(all(memory) == Words{"one", "two", "three", "four", "five"});
  CHECK(all(memory, "root/a") == Words{"one", "three"});
  CHECK(all(memory, "root/a/1") == Words{"three"});
  CHECK(all(memory, "root/c").empty());
  CHECK(memory.knows("root/a"));
  CHECK_FALSE(memory.knows("root/c"));
  CHECK(memory.last_seq() == 5);
}

TEST_CASE("the last so many are those of all nodes together") {
  Memory memory;
  keep(memory, "root/a", 1, 3);
  keep(memory, "root/b", 4, 2);
  keep(memory, "root/a", 6, 1);
  CHECK(all(memory, "root", 2) == Words{text(5), text(6)});
  CHECK(all(memory, "root", 4) == Words{text(3), text(4), text(5), text(6)});
  CHECK(all(memory, "root", 0).empty());
  CHECK(all(memory, "root", 100).size() == 6);
}

TEST_CASE("a subject keeps its share, and the oldest records go first") {
  Memory memory({.subject = 5 * kRecord, .all = 1000 * kRecord});
  keep(memory, "root/a", 1, 3);
  keep(memory, "root/b", 100, 2000);
  CHECK(all(memory, "root/b") == Words{text(2095), text(2096), text(2097), text(2098), text(2099)});
  CHECK(all(memory, "root/a").size() == 3);
  CHECK(memory.bytes() == 8 * kRecord);
}

TEST_CASE("a record that is larger than its subject's share is cut") {
  Memory memory({.subject = 2 * kRecord, .all = 1000});
  memory.keep("root/a", std::string(1000, 'x'));
  CHECK(all(memory) == Words{std::string(2 * kRecord - Memory::kHead, 'x')});
}

TEST_CASE("without room for all, the biggest subject loses its oldest records") {
  Memory memory({.subject = 100 * kRecord, .all = 20 * kRecord});
  keep(memory, "root/quiet", 1, 3);
  keep(memory, "root/big", 10, 100);
  keep(memory, "root/other", 200, 4);
  CHECK(memory.bytes() <= 20 * kRecord);
  CHECK(all(memory, "root/quiet") == Words{text(1), text(2), text(3)});
  CHECK(all(memory, "root/other").size() == 4);
  const Words big = all(memory, "root/big");
  CHECK(big.size() == 13);
  CHECK(big.back() == text(109));
}

TEST_CASE("many subjects that write without end share the room evenly") {
  Memory memory({.subject = 64 * kRecord, .all = 64 * kRecord});
  for (int round = 0; round < 500; ++round) {
    for (int i = 0; i < 8; ++i) memory.keep("root/" + std::to_string(i), text(round));
  }
  CHECK(memory.bytes() <= 64 * kRecord);
  for (int i = 0; i < 8; ++i) {
    const std::size_t left = all(memory, "root/" + std::to_string(i)).size();
    CHECK(left >= 7);
    CHECK(left <= 9);
  }
}

TEST_CASE("what has gone is remembered until so many others have gone") {
  Memory memory({.gone = 2});
  for (const char* subject : {"root/a", "root/b/1", "root/b/2", "root/c"}) memory.keep(subject, subject);
  memory.gone("root/a");
  CHECK(memory.knows("root/a"));
  memory.gone("root/b");
  CHECK_FALSE(memory.knows("root/a"));
  CHECK(memory.knows("root/b/1"));
  CHECK(memory.bytes() == 3 * Memory::kHead + 8 + 8 + 6);

  memory.keep("root/b/1", "is back");
  memory.gone("root/c");
  CHECK(all(memory) == Words{"root/b/1", "root/b/2", "root/c", "is back"});
  memory.gone("root/nobody");
  memory.gone("root/b/1");
  CHECK(all(memory) == Words{"root/b/1", "root/c", "is back"});
}

TEST_CASE("a reader continues with what is kept later, by known and by new subjects") {
  Memory memory;
  keep(memory, "root/a", 1, 2);
  Memory::Reader reader(memory, "root", 1);
  CHECK(read(reader) == Words{text(2)});
  CHECK(read(reader).empty());
  keep(memory, "root/b", 3, 1);
  keep(memory, "root/a", 4, 2);
  CHECK(read(reader) == Words{text(3), text(4), text(5)});
}

TEST_CASE("a reader stops at a number") {
  Memory memory;
  keep(memory, "root/a", 1, 4);
  Memory::Reader reader(memory, "root");
  CHECK(reader.next(1)->text == text(1));
  CHECK_FALSE(reader.next(1));
  CHECK(read(reader) == Words{text(2), text(3), text(4)});
}

TEST_CASE("a reader that is too slow is told how many records it has missed") {
  Memory memory({.subject = 3 * kRecord, .all = 100 * kRecord});
  keep(memory, "root/a", 1, 2);
  keep(memory, "root/quiet", 50, 1);
  Memory::Reader reader(memory, "root");
  CHECK(reader.next()->text == text(1));
  keep(memory, "root/a", 60, 7);
  CHECK(read(reader) == Words{"missed 5", text(50), text(64), text(65), text(66)});
  keep(memory, "root/a", 70, 3);
  CHECK(read(reader) == Words{text(70), text(71), text(72)});
}

TEST_CASE("what was cut before a reader began is not missed") {
  Memory memory({.subject = 3 * kRecord, .all = 100 * kRecord});
  keep(memory, "root/a", 1, 10);
  CHECK(all(memory) == Words{text(8), text(9), text(10)});
}

TEST_CASE("a reader survives that a subject is forgotten, and comes back") {
  Memory memory({.gone = 0});
  keep(memory, "root/a", 1, 3);
  keep(memory, "root/b", 4, 2);
  Memory::Reader reader(memory, "root");
  CHECK(reader.next()->text == text(1));
  memory.gone("root/a");
  CHECK(read(reader) == Words{"missed 2", text(4), text(5)});
  keep(memory, "root/a", 6, 1);
  CHECK(read(reader) == Words{text(6)});
}

TEST_CASE("an observer learns of each record") {
  Memory memory;
  int count = 0;
  memory.on_kept = [&count] { ++count; };
  keep(memory, "root/a", 1, 3);
  CHECK(count == 3);
}

}  // namespace
}  // namespace bulkhead::journal
