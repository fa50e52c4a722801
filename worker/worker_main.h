// A worker's life, from the first line after exec to its exit.
#pragma once

namespace bulkhead::modules {
class Modules;
}

namespace bulkhead::worker {

// Exit statuses of a worker. The master logs them; they are not part of the daemon's own.
enum ExitStatus : int {
  kRetired = 0,      // asked to exit, or nothing left to do
  kNotForYou = 64,   // started by hand
  kCannotStart = 71  // the reason is on the channel
};

// `modules`: what loads handler modules, in the program that can; null in the one that is linked statically.
[[nodiscard]] int worker_main(int argc, char** argv, modules::Modules* modules = nullptr);

}  // namespace bulkhead::worker
