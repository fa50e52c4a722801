// The process title, as ps(1) shows it: written over the memory that the kernel keeps argv in. The parent makes argv[0]
// long enough (kTitleLength) when it execs the program; nothing is allocated, so a child may call set() after fork.
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead::sys {

inline constexpr std::size_t kTitleLength = 128;

class Title {
 public:
  // argv must be main()'s. Also names the process (comm), which an execveat(2) of a descriptor leaves as a number.
  static void init(int argc, char** argv, const char* comm) noexcept;
  // For a program that was not started by us, with arguments of any length: moves the environment to the heap and uses
  // its place as well. The kernel reads on there when the arguments no longer end in a NUL (proc(5)).
  static void use_environment_too() noexcept;
  // Longer titles are cut; without init() nothing happens.
  static void set(std::string_view title) noexcept;
};

}  // namespace bulkhead::sys
