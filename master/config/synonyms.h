// What people who come from systemd, supervisord, Docker, runit, inetd or nginx write, and what it is called here.
#pragma once

#include <optional>
#include <string_view>

namespace bulkhead::config {

// One of both: the key to write instead, or why bulkhead does not offer it.
struct Advice {
  std::string_view ours;
  std::string_view reason;
};

// For an unknown key; nothing: it is in no list. Capitals, underscores and hyphens do not matter: WorkingDirectory,
// working_directory.
[[nodiscard]] std::optional<Advice> advice_for_key(std::string_view key);

// The word that `option` has for this one; empty: none is known.
[[nodiscard]] std::string_view word_for(std::string_view option, std::string_view word);

}  // namespace bulkhead::config
