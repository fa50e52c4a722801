// What a program asks of the dynamic loader of glibc, and what the loader knows. Pure: files are read by the caller.
// The texts may be hostile or damaged: no length or offset in them is believed, and there are limits to all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::config {

// At most `size` bytes of a file from `offset`; fewer at its end, none on an error.
using ReadAt = std::function<std::string(std::uint64_t offset, std::size_t size)>;

struct Linkage {
  std::vector<std::string> needed;  // names of libraries, or paths with a slash
  std::string path;                 // directories to look in: DT_RUNPATH, or without it DT_RPATH
};

// Empty for what is no ELF file of a little-endian processor, is linked statically, is damaged, or is beyond the
// limits.
[[nodiscard]] std::optional<Linkage> linkage_of(const ReadAt& read);

// Splits a list of directories at any of `separators`. `origin`, the directory of the program, stands for $ORIGIN; an
// empty entry is the directory ".". Empty where another variable is used, $ORIGIN is not known (empty), or the entries
// are too many.
[[nodiscard]] std::optional<std::vector<std::string>> directories_of(std::string_view list, std::string_view separators,
                                                                     const std::string& origin);

// $ORIGIN replaced in one path; empty as above.
[[nodiscard]] std::optional<std::string> with_origin(std::string_view path, const std::string& origin);

// The paths that /etc/ld.so.cache has for a library. Empty if `cache` is not in the format of glibc 2.2 and later.
[[nodiscard]] std::optional<std::vector<std::string>> cached_libraries(std::string_view cache, std::string_view name);

}  // namespace bulkhead::config
