// Which files the daemon may obey: those that nobody else can write to or replace.
#pragma once

#include <sys/stat.h>

#include <string>

namespace bulkhead::config {

// Whether a process of another user could change this file, or what is in this directory: it belongs neither to root
// nor to this process's user, or others may write to it. In a sticky directory (/tmp) others may create files, but not
// replace ours. Root's files are its group's to write to if nobody else is meant by that; a group of another user's
// daemon is its own affair.
[[nodiscard]] bool others_may_write(const struct stat& status);

// "it has mode 0777 and belongs to uid 0"
[[nodiscard]] std::string mode_and_owner(const struct stat& status);

// Why `path` (absolute) must not be obeyed, as a sentence with the path that is the reason; empty: it may be. Checked
// are the file, each directory and each symbolic link on the way to it, and the way to what a link names.
[[nodiscard]] std::string why_not_trusted(const std::string& path);

}  // namespace bulkhead::config
