#include "worker/modules/module_library.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>
#include <string_view>

namespace bulkhead::modules {

namespace {

constexpr off_t kLargest = off_t{1} << 30;
// The members that version 1 began with, up to and including the last required one.
constexpr std::size_t kSmallest = offsetof(bulkhead_handler, serve) + sizeof(bulkhead_handler::serve);

int copy_bytes(int from, int to) {
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t got = ::read(from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : 0;
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = ::write(to, buffer + done, static_cast<std::size_t>(got - done));
      if (put < 0) return errno;
      done += put;
    }
  }
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// dlerror() names the copy, which means nothing to a reader.
std::string without_path(std::string_view text, const std::string& path) {
  if (text.starts_with(path)) text.remove_prefix(path.size());
  while (text.starts_with(": ")) text.remove_prefix(2);
  return std::string(text);
}

std::string why_unfit(const bulkhead_handler* handler) {
  if (handler == nullptr) return "it offers nothing for version " + std::to_string(BULKHEAD_HANDLER_ABI);
  if (handler->abi != BULKHEAD_HANDLER_ABI) {
    return "it is for version " + std::to_string(handler->abi) + " of the handler interface, this is version " +
           std::to_string(BULKHEAD_HANDLER_ABI);
  }
  if (handler->size < kSmallest) {
    return "its struct bulkhead_handler has a size of " + std::to_string(handler->size) + ", not at least " +
           std::to_string(kSmallest);
  }
  return handler->serve == nullptr ? "it has no serve()" : "";
}

struct Search {
  std::uintptr_t address;
  std::string id;
};

bool holds(const dl_phdr_info& object, std::uintptr_t address) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const auto& part = object.dlpi_phdr[i];
    const std::uintptr_t start = object.dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD && address >= start && address - start < part.p_memsz) return true;
  }
  return false;
}

// elf(5), "Notes (Nhdr)": name and description are each padded to 4 bytes.
void read_notes(const char* at, std::size_t size, std::string& id) {
  constexpr auto padded = [](std::size_t length) { return (length + 3) & ~std::size_t{3}; };
  ElfW(Nhdr) note;
  while (size >= sizeof note) {
    std::memcpy(&note, at, sizeof note);
    const std::size_t whole = sizeof note + padded(note.n_namesz) + padded(note.n_descsz);
    if (whole > size) return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(at + sizeof note, "GNU", 4) == 0) {
      const char* bytes = at + sizeof note + padded(note.n_namesz);
      for (std::size_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        id += "0123456789abcdef"[byte >> 4];
        id += "0123456789abcdef"[byte & 15];
      }
      return;
    }
    at += whole;
    size -= whole;
  }
}

int look_at_object(dl_phdr_info* object, std::size_t, void* argument) {
  auto* search = static_cast<Search*>(argument);
  if (!holds(*object, search->address)) return 0;
  for (int i = 0; i < object->dlpi_phnum && search->id.empty(); ++i) {
    const auto& part = object->dlpi_phdr[i];
    if (part.p_type != PT_NOTE) continue;
    read_notes(reinterpret_cast<const char*>(object->dlpi_addr + part.p_vaddr), part.p_memsz, search->id);
  }
  return 1;
}

}  // namespace

sys::Result<ModuleCopy> copy_module(const char* path) {
  const sys::Fd file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return sys::Error{"open", path, errno};
  struct stat before {};
  struct stat after {};
  if (fstat(file.get(), &before) != 0) return sys::Error{"stat", path, errno};
  if (!S_ISREG(before.st_mode)) return sys::Error{"open a regular file", path, EINVAL};
  if (before.st_size > kLargest) return sys::Error{"read", path, EFBIG};
  const std::string_view name(path);
  ModuleCopy copy;
  // The name is what /proc/PID/maps shows.
  copy.memfd.reset(memfd_create(std::string(name.substr(name.rfind('/') + 1)).substr(0, 200).c_str(),
                                MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy.memfd) return sys::Error{"memfd_create", path, errno};
  if (const int error = copy_bytes(file.get(), copy.memfd.get()); error != 0) return sys::Error{"read", path, error};
  if (fstat(file.get(), &after) != 0 || !same_file(before, after)) return sys::Error{"read", path, EAGAIN};
  if (fcntl(copy.memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return sys::Error{"seal the copy of", path, errno};
  }
  copy.size = static_cast<std::size_t>(after.st_size);
  copy.modified = after.st_mtim.tv_sec;
  return copy;
}

ModuleOrProblem load_module(const std::string& path) {
  using Entry = const bulkhead_handler* (*)(std::uint32_t);
  try {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return without_path(dlerror(), path);
    void* symbol = dlsym(library, "bulkhead_module");
    if (symbol == nullptr) return std::string("it is not a handler module: it does not export bulkhead_module()");
    const bulkhead_handler* handler = reinterpret_cast<Entry>(symbol)(BULKHEAD_HANDLER_ABI);
    if (std::string problem = why_unfit(handler); !problem.empty()) return problem;
    bulkhead_handler known{};
    std::memcpy(&known, handler, std::min<std::size_t>(handler->size, sizeof known));
    return known;
  } catch (const std::exception& exception) {
    return std::string("it threw an exception: ") + exception.what();
  } catch (...) {
    return std::string("it threw an exception");
  }
}

std::string build_id_of(const void* address) {
  Search search{reinterpret_cast<std::uintptr_t>(address), {}};
  dl_iterate_phdr(look_at_object, &search);
  return search.id;
}

}  // namespace bulkhead::modules
