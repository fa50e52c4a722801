// A wrong file, with every word of its problems.
#pragma once

#include <catch2/catch.hpp>
#include <span>
#include <string_view>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {

struct BadFile {
  const char* name;
  Shape shape;
  std::string_view fragment;  // on line 2 of the file, except for Shape::whole
  const char* problems;       // all problems, one per line
  std::uint32_t uid = 0;      // user id of the reader
};

inline void check_all(std::span<const BadFile> bad_files) {
  for (const BadFile& bad : bad_files) {
    INFO(bad.name << ": " << bad.fragment);
    const FakeHost host(bad.uid);
    const Loaded loaded = parse(file_of(bad.shape, bad.fragment), "bad.json", "/etc", host);
    CHECK(texts(loaded) == bad.problems);
    CHECK_FALSE(loaded.config);
    CHECK(loaded.effective.empty());
  }
}

}  // namespace bulkhead::config
