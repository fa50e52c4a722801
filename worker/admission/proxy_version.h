// The two forms of the PROXY header, each with a file of its own; proxy_header.h is what others use.
#pragma once

#include <string_view>

#include "worker/admission/proxy_header.h"

namespace bulkhead::admission {

inline constexpr std::string_view kProxySignature1 = "PROXY ";
inline constexpr std::string_view kProxySignature2{"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a", 12};

// `bytes` are a beginning of the signature, or begin with it.
[[nodiscard]] ProxyResult parse_proxy_line(std::string_view bytes, ProxyHeader& header) noexcept;   // version 1
[[nodiscard]] ProxyResult parse_proxy_block(std::string_view bytes, ProxyHeader& header) noexcept;  // version 2

// `family` is 4 or 6, `bytes` the address in network order, 4 or 16 of them.
[[nodiscard]] ProxyAddress proxy_address(int family, std::string_view bytes, std::uint16_t port) noexcept;

}  // namespace bulkhead::admission
