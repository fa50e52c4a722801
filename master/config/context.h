// One reading of a configuration: what has been found wrong so far, and what has to be unique over the whole of it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/config/host.h"
#include "master/config/json_reader.h"
#include "master/config/json_value.h"

namespace bulkhead::config {

class Context {
 public:
  // `directory` is absolute: relative paths stand in it, in included files too.
  Context(const Host& host, std::string file, std::string directory)
      : host_(host), directory_(std::move(directory)), files_{std::move(file)} {}

  [[nodiscard]] const Host& host() const { return host_; }
  [[nodiscard]] bool as_root() const { return host_.user_id() == 0; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  // The `chroot` of the child that is being read; empty: none.
  [[nodiscard]] const std::string& root() const { return root_; }
  void enter_root(std::string root) { root_ = std::move(root); }

  // The file that is being read; problems found from now on stand in it, behind those of the files before.
  [[nodiscard]] const std::string& file() const { return files_[reading_]; }
  void begin_file(std::string file);
  void return_to_first_file() { reading_ = 0; }

  void report(Position at, std::string pointer, std::string message);
  void report(const std::vector<Finding>& findings);

  // What may exist once: the first to claim `what` in `room` gets it. Else: where that one stands, in words.
  [[nodiscard]] std::string claim(const std::string& room, const std::string& what, const std::string& pointer);

  // Reports `address` when it collides with one before it.
  void claim_address(const ListenAddress& address, Position at, const std::string& pointer);

  // All problems, file by file and by position.
  [[nodiscard]] std::vector<Problem> take_problems();

 private:
  struct Found {
    std::size_t file;  // in files_
    Problem problem;
  };
  struct Place {
    std::string file;
    Position at;
    std::string pointer;
  };
  struct Taken {
    ListenAddress address;
    Place place;
  };
  [[nodiscard]] std::string elsewhere(const Place& place) const;

  const Host& host_;
  std::string directory_;
  std::string root_;
  std::vector<std::string> files_;  // in the order they were begun
  std::size_t reading_ = 0;         // in files_
  std::vector<Found> found_;
  std::map<std::string, Place> claimed_;
  std::map<std::string, Taken> addresses_;  // by the keys of context.cpp, so that each look-up is one of a few
};

}  // namespace bulkhead::config
