// What a program asks of the dynamic loader, from images that are built here, whole and damaged.
#include "master/config/linkage.h"

#include <elf.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::config {
namespace {

ReadAt reading(const std::string& image) {
  return [&image](std::uint64_t offset, std::size_t size) {
    return offset < image.size() ? image.substr(offset, size) : "";
  };
}

template <class Part>
void put(std::string& image, const Part& part) {
  image.append(reinterpret_cast<const char*>(&part), sizeof part);  // NOLINT: the bytes of a plain structure
}

struct Wide {
  using Header = Elf64_Ehdr;
  using Program = Elf64_Phdr;
  using Entry = Elf64_Dyn;
  static constexpr unsigned char kClass = ELFCLASS64;
};
struct Narrow {
  using Header = Elf32_Ehdr;
  using Program = Elf32_Phdr;
  using Entry = Elf32_Dyn;
  static constexpr unsigned char kClass = ELFCLASS32;
};

using Entries = std::vector<std::pair<int, std::uint64_t>>;

// The header, one loaded segment, the dynamic section, its entries and its texts.
template <class Kind>
std::string image_of(Entries entries, const std::string& strings) {
  constexpr std::uint64_t kLoadedAt = 0x400000;
  const std::uint64_t section = sizeof(typename Kind::Header) + 2 * sizeof(typename Kind::Program);
  const std::uint64_t texts = section + (entries.size() + 3) * sizeof(typename Kind::Entry);
  entries.insert(entries.end(), {{DT_STRTAB, kLoadedAt + texts}, {DT_STRSZ, strings.size()}, {DT_NULL, 0}});
  typename Kind::Header header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = Kind::kClass;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(typename Kind::Program);
  header.e_phnum = 2;
  typename Kind::Program load{};
  load.p_type = PT_LOAD;
  load.p_vaddr = kLoadedAt;
  load.p_filesz = static_cast<decltype(load.p_filesz)>(texts + strings.size());
  typename Kind::Program dynamic{};
  dynamic.p_type = PT_DYNAMIC;
  dynamic.p_offset = static_cast<decltype(load.p_offset)>(section);
  dynamic.p_filesz = static_cast<decltype(load.p_filesz)>(texts - section);
  std::string out;
  put(out, header);
  put(out, load);
  put(out, dynamic);
  for (const auto& [tag, value] : entries) {
    typename Kind::Entry entry{};
    entry.d_tag = tag;
    entry.d_un.d_val = static_cast<decltype(entry.d_un.d_val)>(value);
    put(out, entry);
  }
  return out + strings;
}

const std::string kTexts("\0liba.so.1\0libb.so\0$ORIGIN/../lib\0/old\0", 39);
const Entries kEntries{{DT_NEEDED, 1}, {DT_RPATH, 34}, {DT_NEEDED, 11}};

TEMPLATE_TEST_CASE("the libraries that a program needs, and where it looks for them", "", Wide, Narrow) {
  std::string image = image_of<TestType>(kEntries, kTexts);
  auto linkage = linkage_of(reading(image));
  REQUIRE(linkage);
  CHECK(linkage->needed == std::vector<std::string>{"liba.so.1", "libb.so"});
  CHECK(linkage->path == "/old");
  Entries with_both = kEntries;
  with_both.emplace_back(DT_RUNPATH, 19);
  image = image_of<TestType>(with_both, kTexts);
  linkage = linkage_of(reading(image));
  REQUIRE(linkage);
  CHECK(linkage->path == "$ORIGIN/../lib");
}

TEST_CASE("names outside of the texts, and too many of them, are not believed") {
  const auto is_refused = [](const Entries& entries, const std::string& texts) {
    const std::string image = image_of<Wide>(entries, texts);
    return !linkage_of(reading(image));
  };
  CHECK(is_refused({{DT_NEEDED, 39}}, kTexts));
  CHECK(is_refused({{DT_NEEDED, ~0ULL}}, kTexts));
  CHECK(is_refused({{DT_NEEDED, 0}}, kTexts));
  CHECK(is_refused({{DT_NEEDED, 0}}, "no end"));
  CHECK(is_refused({{DT_NEEDED, 1}, {DT_RUNPATH, 99}}, kTexts));
  CHECK(is_refused(Entries(257, {DT_NEEDED, 1}), kTexts));
  CHECK(is_refused({{DT_NEEDED, 1}, {DT_STRTAB, 0}, {DT_NULL, 0}}, kTexts));
  CHECK(is_refused({{DT_NULL, 0}, {DT_NEEDED, 1}}, kTexts));
}

TEST_CASE("an image that is cut off or damaged anywhere is read without harm") {
  const std::string image = image_of<Wide>(kEntries, kTexts);
  for (std::size_t length = 0; length < image.size(); ++length) {
    const std::string cut = image.substr(0, length);
    CHECK_FALSE(linkage_of(reading(cut)));
  }
  std::mt19937 random(1);  // NOLINT: the same damage each time
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = image;
    for (int j = 0; j < 4; ++j)
      damaged[random() % damaged.size()] = random() % 3 == 0 ? '\xff' : static_cast<char>(random());
    std::size_t most = 0;
    const auto linkage = linkage_of([&](std::uint64_t offset, std::size_t size) {
      most = std::max(most, size);
      return reading(damaged)(offset, size);
    });
    REQUIRE(most <= 1 << 16);
    if (linkage) REQUIRE(linkage->needed.size() <= 256);
  }
}

TEST_CASE("lists of directories are split, and $ORIGIN is the directory of the program") {
  using List = std::vector<std::string>;
  CHECK(directories_of("", ":", "/o")->empty());
  CHECK(*directories_of("/a:$ORIGIN/b::${ORIGIN}", ":", "/o") == List{"/a", "/o/b", ".", "/o"});
  CHECK(*directories_of("/a;b", ":;", "/o") == List{"/a", "b"});
  CHECK_FALSE(directories_of("/a:$LIB", ":", "/o"));
  CHECK_FALSE(directories_of("$ORIGIN", ":", ""));
  CHECK_FALSE(directories_of(std::string(64, ':'), ":", "/o"));
}

std::string cache_of(const std::vector<std::pair<std::string, std::string>>& libraries) {
  std::string out = "glibc-ld.so.cache1.1";
  put(out, static_cast<std::uint32_t>(libraries.size()));
  out.resize(48);
  std::string texts;
  for (const auto& [name, path] : libraries) {
    const std::size_t begin = 48 + 24 * libraries.size() + texts.size();
    put(out, std::int32_t{0x303});
    put(out, static_cast<std::uint32_t>(begin));
    put(out, static_cast<std::uint32_t>(begin + name.size() + 1));
    out.append(12, '\0');
    texts += name + '\0' + path + '\0';
  }
  return out + texts;
}

TEST_CASE("the paths of a library are found in the loader's cache") {
  const std::string cache =
      cache_of({{"libb.so", "/x/libb.so"}, {"liba.so", "/64/liba.so"}, {"liba.so", "/32/liba.so"}});
  for (const std::string& text : {cache, "ld.so-1.7.0" + std::string(37, '\0') + cache}) {
    CHECK(*cached_libraries(text, "liba.so") == std::vector<std::string>{"/64/liba.so", "/32/liba.so"});
    CHECK(cached_libraries(text, "liba")->empty());
    CHECK(cached_libraries(text, "libc.so")->empty());
  }
}

TEST_CASE("a cache of another format, cut off or damaged, is read without harm") {
  CHECK_FALSE(cached_libraries("", "liba.so"));
  CHECK_FALSE(cached_libraries("glibc-ld.so.cache2.0", "liba.so"));
  const std::string cache = cache_of({{"liba.so", "/x/liba.so"}});
  for (std::size_t length = 0; length < 72; ++length) CHECK_FALSE(cached_libraries(cache.substr(0, length), "liba.so"));
  std::string damaged = cache;
  damaged.replace(52, 8, 8, '\xff');  // both offsets
  CHECK(cached_libraries(damaged, "liba.so")->empty());
  damaged.replace(20, 4, 4, '\xff');  // the number of entries
  CHECK_FALSE(cached_libraries(damaged, "liba.so"));
}

}  // namespace
}  // namespace bulkhead::config
