// The fields of an ELF file, read without trust in their values: what lies beyond the text reads as zero.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::config {

// The fields of a header in its own byte order.
class Bytes {
 public:
  Bytes(std::string_view text, bool big_endian) : text_(text), big_endian_(big_endian) {}

  [[nodiscard]] std::uint64_t at(std::size_t offset, std::size_t size) const {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < size && offset + i < text_.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text_[offset + i]);
      out |= std::uint64_t{byte} << 8 * (big_endian_ ? size - 1 - i : i);
    }
    return out;
  }

 private:
  std::string_view text_;
  bool big_endian_;
};

// Where the fields are that differ between 32 and 64 bits.
struct Layout {
  std::size_t header, word, headers_at, size_at, count_at, segment, offset_in, address_in, length_in;
};
template <class Header, class Segment>
constexpr Layout layout_of(std::size_t word) {
  return {sizeof(Header),
          word,
          offsetof(Header, e_phoff),
          offsetof(Header, e_phentsize),
          offsetof(Header, e_phnum),
          sizeof(Segment),
          offsetof(Segment, p_offset),
          offsetof(Segment, p_vaddr),
          offsetof(Segment, p_filesz)};
}
inline constexpr Layout kNarrow = layout_of<Elf32_Ehdr, Elf32_Phdr>(4);
inline constexpr Layout kWide = layout_of<Elf64_Ehdr, Elf64_Phdr>(8);

}  // namespace bulkhead::config
