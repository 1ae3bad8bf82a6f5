#include "schedctl/host/build.hpp"

#include <elf.h>
#include <link.h>

#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

namespace schedctl::host {
namespace {

/// With its final zero, as notes have it.
constexpr std::string_view kName{"GNU\0", 4};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
    text += digits.data();
  }
  return text;
}

std::size_t padded(std::size_t size) {
  return (size + 3) / 4 * 4;
}

/// The notes of one segment: name, descriptor and type, each padded to four bytes (elf(5)).
std::string build_id_in(std::string_view notes) {
  ElfW(Nhdr) head{};
  while (notes.size() >= sizeof head) {
    std::memcpy(&head, notes.data(), sizeof head);
    notes.remove_prefix(sizeof head);
    const std::size_t name = padded(head.n_namesz);
    const std::size_t size = name + padded(head.n_descsz);
    if (size > notes.size()) break;
    if (head.n_type == NT_GNU_BUILD_ID && notes.substr(0, head.n_namesz) == kName) {
      return hex(notes.substr(name, head.n_descsz));
    }
    notes.remove_prefix(size);
  }
  return {};
}

/// The first object of dl_iterate_phdr(3) is the program itself.
int look_at_program(dl_phdr_info* info, std::size_t, void* found) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const std::string_view notes(std::bit_cast<const char*>(info->dlpi_addr + segment.p_vaddr),
                                 segment.p_memsz);
    std::string id = build_id_in(notes);
    if (id.empty()) continue;
    *static_cast<std::string*>(found) = std::move(id);
    break;
  }
  return 1;
}

}  // namespace

const std::string& own_build() {
  static const std::string build = [] {
    std::string found;
    ::dl_iterate_phdr(look_at_program, &found);
    return found;
  }();
  return build;
}

}  // namespace schedctl::host
