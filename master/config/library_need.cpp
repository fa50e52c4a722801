#include "master/config/library_need.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "master/config/file_head.h"
#include "master/config/json_value.h"
#include "master/config/linkage.h"
#include "master/config/paths.h"
#include "master/config/reach.h"

namespace bulkhead::config {

namespace {

constexpr const char* kCache = "/etc/ld.so.cache";
constexpr std::size_t kLargestCache = 8 << 20;
constexpr std::size_t kMostShown = 4;  // names in one message

using Names = std::vector<std::string>;

// The name of the directories of Debian and its kin for libraries of one kind.
const char* multiarch_of(const Elf& elf) {
  switch (elf.machine) {
    case EM_X86_64: return elf.wide ? "x86_64-linux-gnu" : "x86_64-linux-gnux32";
    case EM_386: return "i386-linux-gnu";
    case EM_AARCH64: return "aarch64-linux-gnu";
    case EM_ARM: return "arm-linux-gnueabihf";
    case EM_PPC64: return "powerpc64le-linux-gnu";
    case EM_RISCV: return "riscv64-linux-gnu";
    default: return "";
  }
}

Names default_directories(const Elf& elf) {
  Names out;
  for (const std::string top : {"/lib", "/usr/lib"}) {
    for (const char* suffix : {"", "64", "32", "x32"}) out.push_back(top + suffix);
    if (const std::string own = multiarch_of(elf); !own.empty()) out.push_back(top + "/" + own);
  }
  return out;
}

// Empty: no regular file.
std::optional<std::size_t> size_of(const sys::Fd& file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::size_t>(status.st_size);
}

// `"a", "b" and 3 others`
std::string listed(const Names& names) {
  Names shown;
  for (const std::string& name : names) {
    if (shown.size() < kMostShown) shown.push_back(in_quotes(name));
  }
  const std::size_t rest = names.size() - shown.size();
  return fmt::format("{}{}", fmt::join(shown, ", "), rest == 0 ? "" : fmt::format(" and {} more", rest));
}

// Looks for libraries as the loader does.
class Search {
 public:
  Search(const Elf& elf, const Runner& runner) : elf_(elf), runner_(runner), system_(default_directories(elf)) {}

  // False: they cannot be known.
  bool add(std::string_view list, std::string_view separators, const std::string& origin) {
    const auto some = directories_of(list, separators, origin);
    if (some) own_.insert(own_.end(), some->begin(), some->end());
    return some.has_value();
  }

  bool finds(const std::string& name) {
    std::string before = hint_;
    const bool found = name.find('/') != std::string::npos ? is_usable(name) : is_somewhere(name);
    if (found) hint_ = std::move(before);
    return found;
  }

  [[nodiscard]] std::string places() const {
    return fmt::format("{}{} and the system's directories such as /usr/lib{}", own_.empty() ? "" : listed(own_) + ", ",
                       kCache, runner_.root.empty() ? "" : ", inside the root directory " + in_quotes(runner_.root));
  }

  [[nodiscard]] const std::string& hint() const { return hint_; }

 private:
  [[nodiscard]] std::string inside(const std::string& path) const { return resolve_path(path, runner_.directory); }

  // Any place will do, so the cache comes last.
  bool is_somewhere(const std::string& name) {
    const auto is_in = [&](const std::string& directory) { return is_usable(resolve_path(name, inside(directory))); };
    return std::ranges::any_of(own_, is_in) || std::ranges::any_of(system_, is_in) || is_cached(name);
  }

  bool is_usable(const std::string& path) {
    const std::string whole = inside(path);
    const Reached reached = reach(whole, runner_.root, runner_.who, Access::read);
    if (!reached.problem.empty()) return explain_refusal(whole, reached.problem);
    if (!reached.file) return true;
    if (!size_of(reached.file)) return false;
    const auto head = head_of(by_descriptor(reached.file.get()));
    if (!head) return true;
    const ProgramKind kind = kind_of_program(*head);
    const auto* library = std::get_if<Elf>(&kind);
    if (library != nullptr && is_same_kind(*library, elf_)) return true;
    hint_ = fmt::format("{} is there, but is {}", in_quotes(whole),
                        library == nullptr ? "no library" : "for another kind of processor");
    return false;
  }

  // A library that is there, but not for this user, is worth a word. Always false.
  bool explain_refusal(const std::string& path, const std::string& problem) {
    if (reach(path, runner_.root, {"root", 0, 0, {}}, Access::read).file) hint_ = problem;
    return false;
  }

  bool is_cached(const std::string& name) {
    if (!cache_) cache_ = read_cache();
    if (cache_->empty()) return false;
    const auto paths = cached_libraries(*cache_, name);
    if (!paths) return true;
    return std::ranges::any_of(*paths, [&](const std::string& path) { return is_usable(path); });
  }

  // Empty: none. What this process may not read, or is too large, is a text that cached_libraries() does not know.
  [[nodiscard]] std::string read_cache() const {
    const std::string unknown = "unknown";
    const Reached reached = reach(kCache, runner_.root, runner_.who, Access::read);
    if (!reached.problem.empty()) return "";
    const auto size = reached.file ? size_of(reached.file) : std::nullopt;
    if (!size || *size > kLargestCache) return unknown;
    return bytes_at(open_to_read(by_descriptor(reached.file.get())), 0, *size).value_or(unknown);
  }

  const Elf& elf_;
  const Runner& runner_;
  Names own_, system_;
  std::optional<std::string> cache_;
  std::string hint_;
};

std::string need_of(const Names& names, const Search& search) {
  const char* noun = names.size() == 1 ? "library" : "libraries";
  const bool paths = std::ranges::all_of(names, [](const std::string& name) { return name.find('/') != name.npos; });
  std::string out = fmt::format("needs the {} {}, which {} ", noun, listed(names), names.size() == 1 ? "is" : "are");
  out += paths ? "not there" : "in none of " + search.places();
  return search.hint().empty() ? out : fmt::format("{} ({})", out, search.hint());
}

}  // namespace

bool is_of_glibc(const std::string& loader, const sys::Fd& file) {
  constexpr std::array<std::string_view, 3> kNames{"ld-linux", "ld64.so.", "ld-2."};
  const auto fits = [&](const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    return std::ranges::any_of(kNames, [&](std::string_view one) { return name.starts_with(one); });
  };
  if (!loader.starts_with("/lib") && !loader.starts_with("/usr/lib")) return false;
  std::error_code error;
  return fits(loader) && (!file || fits(std::filesystem::read_symlink(by_descriptor(file.get()), error)));
}

std::string origin_of(const sys::Fd& program, const std::string& root) {
  std::error_code error;
  const std::string path = std::filesystem::read_symlink(by_descriptor(program.get()), error);
  if (error || !path.starts_with('/')) return "";
  if (root.empty()) return directory_of(path);
  const std::string top = std::filesystem::canonical(root, error);
  return !error && path.starts_with(top + "/") ? directory_of(path.substr(top.size())) : "";
}

std::string missing_libraries(const sys::Fd& program, const Elf& elf, const std::string& origin, const Runner& runner) {
  const sys::Fd file = open_to_read(by_descriptor(program.get()));
  const auto linkage =
      linkage_of([&](std::uint64_t offset, std::size_t size) { return bytes_at(file, offset, size).value_or(""); });
  if (!linkage) return "";
  Search search(elf, runner);
  if (!search.add(runner.loader_path, ":;", origin) || !search.add(linkage->path, ":", origin)) return "";
  Names missing;
  for (const std::string& needed : linkage->needed) {
    const auto name = with_origin(needed, origin);
    if (name && !search.finds(*name)) missing.push_back(*name);
  }
  return missing.empty() ? "" : need_of(missing, search);
}

}  // namespace bulkhead::config
