// Whether a program would run, before it is started: whether its user reaches it, what kind of file it is, and whether
// its interpreters are there.
#pragma once

#include <string>

#include "master/config/permission.h"

namespace bulkhead::config {

// The process that a program is executed in.
struct Runner {
  Who who;
  std::string root;         // its root directory; empty: this process's
  std::string directory;    // its working directory, inside `root`
  std::string search_path;  // its PATH; empty: not known
  bool no_new_privileges = true;
  std::string loader_path{};  // its LD_LIBRARY_PATH
};

struct Prospect {
  std::string problem{};  // why it certainly cannot be executed, as the end of a sentence, or empty
  std::string doubt{};    // a sentence about what will probably go wrong, or empty
  std::string missing{};  // a sentence about libraries that it needs and may not find, or empty
};

// `program` is an absolute path inside the root directory. What this process may not see is no problem.
[[nodiscard]] Prospect prospect_of(const std::string& program, const Runner& runner);

// The same for a library of a module.
[[nodiscard]] Prospect prospect_of_library(const std::string& path, const Runner& runner);

}  // namespace bulkhead::config
