// Which files the daemon may obey or execute: those that nobody else can write to or replace.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::config {

// A process of another user cannot replace what root or this process's user owns.
[[nodiscard]] bool is_ours_or_roots(const struct stat& status);

// Whether a process of another user could change this file, or what is in this directory: it belongs neither to root
// nor to this process's user, or others may write to it. In a sticky directory (/tmp) others may create files, but not
// replace ours. For root, its group counts as others; a daemon of another user may share its files with a group.
[[nodiscard]] bool others_may_write(const struct stat& status);

// "it has mode 0777 and belongs to uid 0"
[[nodiscard]] std::string mode_and_owner(const struct stat& status);

// Opens the file or directory at `path` (absolute) with O_PATH, so that what has been checked is what is used. Checked
// are the file, each directory and each symbolic link on the way to it, and the way to a link's target. Errors: those
// of open(2); where others may write to one of them or a link is another user's, a sentence that names it, and code 0.
[[nodiscard]] sys::Result<sys::Fd> open_trusted(const std::string& path);

// Why a pid file must not be in this directory: others could replace it.
[[nodiscard]] std::optional<sys::Error> why_not_for_pid_file(const std::string& directory);

// That sentence. Empty: it may be obeyed, or cannot be opened at all.
[[nodiscard]] std::string why_not_trusted(const std::string& path);

// Why the daemon must not append to the file at `path` (absolute), or cannot; empty: it may. The file need not exist,
// but its directory must, and nobody else may be able to replace what is in it.
[[nodiscard]] std::string why_not_writable(const std::string& path);

}  // namespace bulkhead::config
