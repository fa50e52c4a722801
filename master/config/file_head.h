// Reads what was opened with O_PATH, or what is at a path, without waiting for anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "worker/sys/fd.h"

namespace bulkhead::config {

// The path of an open file that leads to exactly this file.
[[nodiscard]] std::string by_descriptor(int file);

// Opened for reading; empty if this process may not read it.
[[nodiscard]] sys::Fd open_to_read(const std::string& path);

// At most `size` bytes from `offset`; empty on an error.
[[nodiscard]] std::optional<std::string> bytes_at(const sys::Fd& file, std::uint64_t offset, std::size_t size);

// The first kProgramHead bytes (program_kind.h). Empty if this process may not read it.
[[nodiscard]] std::optional<std::string> head_of(const std::string& path);

}  // namespace bulkhead::config
