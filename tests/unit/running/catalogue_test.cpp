// The entries of the nodes of the tree, across reloads and additions by operators.
#include "master/running/catalogue.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

namespace bulkhead::running {
namespace {

config::Node process(const std::string& id) {
  config::Node node;
  node.spec.id = id;
  node.process.emplace();
  node.process->argv = {"/bin/" + id};
  return node;
}

config::Config config_of(std::vector<config::Node> children) {
  config::Config config;
  config.root.spec.type = supervision::NodeType::supervisor;
  config.root.children = std::move(children);
  return config;
}

// The tree's answer: the tags of the nodes that exist.
struct Existing {
  std::map<std::string, std::uint32_t> tags;
  [[nodiscard]] Catalogue::TagOf tag_of() const {
    return [this](const std::string& path, supervision::NodeType) {
      const auto found = tags.find(path);
      return found == tags.end() ? std::nullopt : std::optional(found->second);
    };
  }
};

const Catalogue::Changed kNobodyAsks = [](const std::string&, const config::Node&) {};

TEST_CASE("every entry has a tag of its own, and is found by it and by its path") {
  const Catalogue catalogue(config_of({process("a"), process("b")}), "{}");
  const config::Node* const a = catalogue.find("root/a");
  const config::Node* const b = catalogue.find("root/b");
  REQUIRE((a != nullptr && b != nullptr));
  CHECK(a->spec.tag != b->spec.tag);
  CHECK(catalogue.at(a->spec.tag) == a);
  CHECK(catalogue.at(b->spec.tag) == b);
  CHECK(catalogue.find("root/c") == nullptr);
}

TEST_CASE("an existing node keeps its tag, which then names the new entry") {
  Catalogue catalogue(config_of({process("a")}), "{}");
  const std::uint32_t tag = catalogue.find("root/a")->spec.tag;
  const Existing existing{{{"root", 0}, {"root/a", tag}}};
  auto next = std::make_shared<config::Config>(config_of({process("a"), process("b")}));
  next->root.children.front().process->argv = {"/bin/other"};
  std::vector<std::string> changed;
  catalogue.take_over(next, "{2}", existing.tag_of(),
                      [&changed](const std::string& path, const config::Node&) { changed.push_back(path); });
  CHECK(catalogue.at(tag)->process->argv.front() == "/bin/other");
  CHECK(catalogue.find("root/b")->spec.tag != tag);
  CHECK(changed == std::vector<std::string>{"root/a", "root"});
  CHECK(catalogue.effective() == "{2}");
}

TEST_CASE("a node of an earlier configuration keeps its entry while it runs") {
  Catalogue catalogue(config_of({process("a"), process("gone")}), "{}");
  const std::uint32_t tag = catalogue.find("root/gone")->spec.tag;
  const Existing existing{{{"root", 0}, {"root/a", 1}, {"root/gone", tag}}};
  catalogue.take_over(std::make_shared<config::Config>(config_of({process("a")})), "{}", existing.tag_of(),
                      kNobodyAsks);
  CHECK(catalogue.find("root/gone") == nullptr);
  CHECK(catalogue.at(tag)->process->argv.front() == "/bin/gone");
  catalogue.forget(tag);
  CHECK(catalogue.at(tag) == nullptr);
}

const char* const kEffective =
    R"({"supervisor":{"children":[{"id":"a","type":"process"},{"id":"gone","type":"process","argv":["/bin/gone"]}]}})";

// A catalogue whose entry `gone` leaves.
Catalogue leaving_catalogue() {
  Catalogue catalogue(config_of({process("a"), process("gone")}), kEffective);
  const Existing existing{{{"root", 0}, {"root/a", 1}, {"root/gone", 2}}};
  catalogue.leave("root/gone");
  catalogue.take_over(std::make_shared<config::Config>(config_of({process("a")})), "{}", existing.tag_of(),
                      kNobodyAsks);
  return catalogue;
}

TEST_CASE("an entry that leaves is found until it has left") {
  Catalogue catalogue = leaving_catalogue();
  REQUIRE(catalogue.find("root/gone") != nullptr);
  CHECK(catalogue.find("root/gone")->process->argv.front() == "/bin/gone");
  CHECK(catalogue.is_leaving("root/gone"));
  CHECK_FALSE(catalogue.is_leaving("root/a"));
  catalogue.has_left("root/gone");
  CHECK(catalogue.find("root/gone") == nullptr);
  CHECK(catalogue.at(2) == nullptr);
}

TEST_CASE("an entry that leaves is handed over as a child of its own") {
  const Catalogue catalogue = leaving_catalogue();
  REQUIRE(catalogue.leaving().size() == 1);
  CHECK(catalogue.leaving().front().supervisor == "root");
  CHECK(
      catalogue.leaving().front().text ==
      R"({"daemon":{"uid_pool":"none"},"supervisor":{"auto_shutdown":"never","children":[{"id":"gone","type":"process","argv":["/bin/gone"]})"
      "\n]}}");
}

TEST_CASE("an entry that stays after all keeps its tag") {
  Catalogue catalogue = leaving_catalogue();
  catalogue.stays("root/gone");
  CHECK_FALSE(catalogue.is_leaving("root/gone"));
  CHECK(catalogue.at(2)->process->argv.front() == "/bin/gone");
}

TEST_CASE("an entry can be replaced and restored") {
  Catalogue catalogue(config_of({process("a")}), "{}");
  const std::uint32_t tag = catalogue.find("root/a")->spec.tag;
  const Catalogue::Entry before = catalogue.entry(tag);
  const auto other = std::make_shared<config::Node>(process("other"));
  catalogue.put(tag, {other.get(), other});
  CHECK(catalogue.at(tag) == other.get());
  catalogue.put(tag, before);
  CHECK(catalogue.at(tag) == catalogue.find("root/a"));
}

TEST_CASE("entries added by operators are found, listed in order, and removed with everything below a path") {
  Catalogue catalogue(config_of({process("a")}), "{}");
  const std::uint32_t tag = catalogue.add(process("x"), {"root", "x", "f", "/"}).spec.tag;
  catalogue.add(process("y"), {"root/web", "y", "f", "/"});
  CHECK(catalogue.find("root/x")->spec.tag == tag);
  CHECK(catalogue.find("root/web/y") != nullptr);
  REQUIRE(catalogue.added().size() == 2);
  CHECK(catalogue.added().front().text == "x");
  catalogue.remove_added("root/web");
  CHECK(catalogue.find("root/web/y") == nullptr);
  CHECK(catalogue.added().size() == 1);
  catalogue.remove_added("root/x");
  CHECK(catalogue.at(tag) == nullptr);
}

}  // namespace
}  // namespace bulkhead::running
