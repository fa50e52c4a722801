#include "master/config/linkage.h"

#include <algorithm>
#include <utility>

#include "master/config/elf_layout.h"

namespace bulkhead::config {

namespace {

constexpr std::size_t kMostSegments = 128;
constexpr std::size_t kMostEntries = 4096;  // of the dynamic section
constexpr std::size_t kMostNeeded = 256;
constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kMostDirectories = 64;
constexpr std::size_t kMostCached = 8;  // paths for one name: one for each kind of processor and its variants

struct Segment {
  std::uint64_t type, offset, address, length;
};

// The entries of the dynamic section that matter here.
struct Dynamic {
  std::vector<std::uint64_t> needed;
  std::optional<std::uint64_t> strings, rpath, runpath;
  std::uint64_t strings_size = 0;
};

struct Image {
  const ReadAt& read;
  const Layout& layout;
  std::vector<Segment> segments{};
};

bool read_segments(Image& image, const Bytes& header) {
  const Layout& layout = image.layout;
  const std::uint64_t count = header.at(layout.count_at, 2);
  if (count > kMostSegments || header.at(layout.size_at, 2) != layout.segment) return false;
  const std::string table = image.read(header.at(layout.headers_at, layout.word), count * layout.segment);
  if (table.size() != count * layout.segment) return false;
  const Bytes bytes(table, false);
  for (std::size_t at = 0; at < table.size(); at += layout.segment) {
    const auto word = [&](std::size_t field) { return bytes.at(at + field, layout.word); };
    image.segments.push_back(
        {bytes.at(at, 4), word(layout.offset_in), word(layout.address_in), word(layout.length_in)});
  }
  return true;
}

std::optional<Dynamic> dynamic_of(const Image& image) {
  const auto section = std::ranges::find_if(image.segments, [](const Segment& one) { return one.type == PT_DYNAMIC; });
  if (section == image.segments.end()) return std::nullopt;
  const std::size_t word = image.layout.word;
  const std::uint64_t most = kMostEntries * 2 * word;
  const std::string text = image.read(section->offset, std::min(section->length, most));
  const Bytes bytes(text, false);
  Dynamic out;
  for (std::size_t at = 0; at + 2 * word <= text.size() && bytes.at(at, word) != DT_NULL; at += 2 * word) {
    const std::uint64_t value = bytes.at(at + word, word);
    switch (bytes.at(at, word)) {
      case DT_NEEDED: out.needed.push_back(value); break;
      case DT_STRTAB: out.strings = value; break;
      case DT_STRSZ: out.strings_size = value; break;
      case DT_RPATH: out.rpath = value; break;
      case DT_RUNPATH: out.runpath = value; break;
      default: break;
    }
  }
  return out;
}

// Where in the file the bytes are that are loaded at `address`.
std::optional<std::uint64_t> offset_of(const Image& image, std::uint64_t address) {
  for (const Segment& one : image.segments) {
    const bool inside = address >= one.address && address - one.address < one.length;
    if (one.type == PT_LOAD && inside) return one.offset + (address - one.address);
  }
  return std::nullopt;
}

// Empty if it has no beginning or no end.
std::optional<std::string> string_at(const Image& image, std::uint64_t strings, std::uint64_t size,
                                     std::uint64_t index) {
  if (index >= size) return std::nullopt;
  const std::string text = image.read(strings + index, std::min<std::uint64_t>(size - index, kLongestText));
  const std::size_t end = text.find('\0');
  if (end == std::string::npos) return std::nullopt;
  return text.substr(0, end);
}

}  // namespace

std::optional<Linkage> linkage_of(const ReadAt& read) {
  const std::string head = read(0, sizeof(Elf64_Ehdr));
  if (head.size() < sizeof(Elf32_Ehdr) || !head.starts_with(ELFMAG) || head[EI_DATA] != ELFDATA2LSB)
    return std::nullopt;
  Image image{read, head[EI_CLASS] == ELFCLASS64 ? kWide : kNarrow};
  if (head.size() < image.layout.header || !read_segments(image, Bytes(head, false))) return std::nullopt;
  const auto dynamic = dynamic_of(image);
  if (!dynamic || !dynamic->strings || dynamic->needed.size() > kMostNeeded) return std::nullopt;
  const auto strings = offset_of(image, *dynamic->strings);
  if (!strings) return std::nullopt;
  Linkage out;
  for (const std::uint64_t index : dynamic->needed) {
    auto name = string_at(image, *strings, dynamic->strings_size, index);
    if (!name || name->empty()) return std::nullopt;
    out.needed.push_back(std::move(*name));
  }
  const auto index = dynamic->runpath ? dynamic->runpath : dynamic->rpath;
  if (!index) return out;
  auto path = string_at(image, *strings, dynamic->strings_size, *index);
  if (!path) return std::nullopt;
  out.path = std::move(*path);
  return out;
}

std::optional<std::string> with_origin(std::string_view path, const std::string& origin) {
  std::string out;
  for (std::size_t at = 0; at < path.size();) {
    if (path[at] != '$') {
      out += path[at++];
      continue;
    }
    const std::string_view rest = path.substr(at);
    const std::string_view variable = rest.starts_with("${ORIGIN}") ? "${ORIGIN}" : "$ORIGIN";
    if (origin.empty() || !rest.starts_with(variable)) return std::nullopt;
    out += origin;
    at += variable.size();
  }
  return out;
}

std::optional<std::vector<std::string>> directories_of(std::string_view list, std::string_view separators,
                                                       const std::string& origin) {
  std::vector<std::string> out;
  if (list.empty()) return out;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find_first_of(separators, begin), list.size());
    auto one = with_origin(list.substr(begin, end - begin), origin);
    if (!one || out.size() == kMostDirectories) return std::nullopt;
    out.push_back(one->empty() ? "." : std::move(*one));
    begin = end + 1;
  }
  return out;
}

// struct cache_file_new of glibc's dl-cache.h: the header, the entries, the texts. An older format may come first.
std::optional<std::vector<std::string>> cached_libraries(std::string_view cache, std::string_view name) {
  constexpr std::string_view kMagic = "glibc-ld.so.cache1.1";
  constexpr std::size_t kHeader = 48;
  constexpr std::size_t kEntry = 24;
  const std::size_t begin = cache.find(kMagic);
  if (begin == std::string_view::npos) return std::nullopt;
  cache.remove_prefix(begin);
  constexpr bool kBigEndian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
  const Bytes bytes(cache, kBigEndian);
  const std::uint64_t count = bytes.at(kMagic.size(), 4);
  if (cache.size() < kHeader || count > (cache.size() - kHeader) / kEntry) return std::nullopt;
  const auto text = [&](std::size_t field) {
    return cache.substr(std::min<std::size_t>(bytes.at(field, 4), cache.size()), kLongestText);
  };
  std::vector<std::string> out;
  for (std::size_t at = kHeader; at < kHeader + count * kEntry && out.size() < kMostCached; at += kEntry) {
    const std::string_view key = text(at + 4);
    if (!key.starts_with(name) || key.substr(name.size(), 1) != std::string_view("\0", 1)) continue;
    const std::string_view path = text(at + 8);
    out.emplace_back(path.substr(0, path.find('\0')));
  }
  return out;
}

}  // namespace bulkhead::config
