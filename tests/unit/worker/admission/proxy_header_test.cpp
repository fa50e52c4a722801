#include "worker/admission/proxy_header.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/worker/admission/proxy_header_samples.h"

using namespace bulkhead::admission;
using namespace bulkhead::admission::testing;

namespace {

std::string text(const ProxyAddress& address) {
  if (address.family == 0) return "none";
  std::string out;
  char word[8];
  const std::size_t step = address.family == 4 ? 1 : 2;
  for (std::size_t i = 0; i < (address.family == 4 ? 4U : 16U); i += step) {
    if (i != 0) out += step == 1 ? "." : ":";
    const unsigned value = step == 1 ? address.bytes[i] : address.bytes[i] * 256U + address.bytes[i + 1];
    std::snprintf(word, sizeof word, step == 1 ? "%u" : "%x", value);
    out += word;
  }
  return out + "/" + std::to_string(address.port);
}

struct Read {
  ProxyResult result;
  ProxyHeader header;
};
Read read(const std::string& bytes, ProxyVersions accepted = ProxyVersions::any) {
  Read read;
  read.result = parse_proxy_header(bytes, accepted, read.header);
  return read;
}
ProxyVerdict verdict(const std::string& bytes, ProxyVersions accepted = ProxyVersions::any) {
  return read(bytes, accepted).result.verdict;
}

// At every byte before the last there is not enough, and what follows the header changes nothing.
void check_split_at_every_byte(const std::string& bytes) {
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    INFO("after " << length << " of " << bytes.size() << " bytes");
    CHECK(verdict(bytes.substr(0, length)) == ProxyVerdict::need_more);
  }
  for (const std::string& after : {""s, "x"s, "GET / HTTP/1.0\r\n\r\n"s, bytes, std::string(5000, '\0')}) {
    const std::string more = bytes + after;
    ProxyHeader header;
    REQUIRE(parse_proxy_header(more, ProxyVersions::any, header).verdict == ProxyVerdict::header);
    CHECK(header.size == bytes.size());
  }
}

const std::string kLongest1 =
    "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

}  // namespace

TEST_CASE("a version 1 line names the client and where it connected to") {
  const auto [result, header] = read("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
  REQUIRE(result.verdict == ProxyVerdict::header);
  CHECK(header.version == 1);
  CHECK(header.size == 47);
  CHECK_FALSE(header.local);
  CHECK(text(header.source) == "192.168.0.1/56324");
  CHECK(text(header.destination) == "192.168.0.11/443");
  CHECK(header.authority.data() == nullptr);

  const std::string six = "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
  CHECK(text(read(six).header.source) == "2001:db8:0:0:0:0:0:1/1");
  CHECK(text(read(six).header.destination) == "0:0:0:0:0:0:0:1/65535");
}

TEST_CASE("valid version 1 lines are read") {
  const std::vector<std::string> good = {
      "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
      "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
      "PROXY TCP6 2001:DB8::A ::ffff:192.0.2.7 1 2\r\n",
      "PROXY TCP6 :: 1:: 1 2\r\n",
      "PROXY UNKNOWN\r\n",
      "PROXY UNKNOWN 1.2.3 junk  \x01\xff\r\n",
      kLongest1};
  for (const std::string& line : good) {
    INFO(line);
    check_split_at_every_byte(line);
  }
  CHECK(kLongest1.size() == kMaxProxyLine);
}

TEST_CASE("invalid version 1 lines are refused with a reason") {
  const std::vector<std::string> bad = {"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 007 2\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1  2\r\n",
                                        "PROXY TCP4\t1.2.3.4 5.6.7.8 1 2\r\n",
                                        "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
                                        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
                                        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
                                        "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n",
                                        "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
                                        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
                                        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
                                        "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
                                        "PROXY TCP6 1::2::3 ::1 1 2\r\n",
                                        "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n",
                                        "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",
                                        "PROXY TCP6 1:2:3:4:5:6:7:8:: ::1 1 2\r\n",
                                        "PROXY TCP6 00001:: ::1 1 2\r\n",
                                        "PROXY TCP6 ::1.2.3.04 ::1 1 2\r\n",
                                        "PROXY TCP6 ::1.2.3.4:5 ::1 1 2\r\n",
                                        "PROXY TCP6 [::1] ::1 1 2\r\n",
                                        "PROXY TCP6 : ::1 1 2\r\n",
                                        "PROXY TCP6 ::: ::1 1 2\r\n",
                                        "PROXY TCP6 1: ::1 1 2\r\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
                                        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
                                        "PROXY TCP4 1.2.3.4\r\n",
                                        "PROXY \r\n",
                                        "PROXY\r\n",
                                        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
                                        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
                                        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
                                        "PROXY UNKNOWNX\r\n",
                                        "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
                                        "PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"s,
                                        "PROXY TCP4 \x1b[2J\r\n",
                                        " PROXY UNKNOWN\r\n",
                                        "\r\nPROXY UNKNOWN\r\n",
                                        "GET / HTTP/1.0\r\n",
                                        "\x16\x03\x01",
                                        "\0"s,
                                        kLongest1.substr(0, 105) + "0\r\n",
                                        "PROXY UNKNOWN " + std::string(93, 'x')};
  for (const std::string& line : bad) {
    INFO(line);
    const ProxyResult result = read(line).result;
    CHECK(result.verdict == ProxyVerdict::invalid);
    CHECK_FALSE(std::string(result.reason).empty());
  }
}

TEST_CASE("bytes that cannot become a header are invalid from the first wrong byte on") {
  CHECK(verdict("X") == ProxyVerdict::invalid);
  CHECK(verdict("PROXx") == ProxyVerdict::invalid);
  CHECK(verdict("\r\n\r\n"s) == ProxyVerdict::need_more);
  CHECK(verdict("\r\n\r\nX"s) == ProxyVerdict::invalid);
  CHECK(verdict(kSignature + "\x11") == ProxyVerdict::invalid);
  CHECK(verdict(kSignature + "\x22") == ProxyVerdict::invalid);
  CHECK(verdict(kSignature + "\x21\x41") == ProxyVerdict::invalid);
  CHECK(verdict(kSignature + "\x21\x13") == ProxyVerdict::invalid);
  CHECK(verdict(kSignature + "\x21\x11\x00\x0b"s) == ProxyVerdict::invalid);
  CHECK(verdict(kSignature + "\x21\x11\xff\xff") == ProxyVerdict::invalid);
  CHECK(verdict("PROXY TCP4 1.2.3.4\n") == ProxyVerdict::invalid);
}

TEST_CASE("only the versions that are configured are read") {
  CHECK(verdict("PROXY UNKNOWN\r\n", ProxyVersions::v1) == ProxyVerdict::header);
  CHECK(verdict("PROXY UNKNOWN\r\n", ProxyVersions::v2) == ProxyVerdict::invalid);
  CHECK(verdict(v2_inet(), ProxyVersions::v2) == ProxyVerdict::header);
  CHECK(verdict(v2_inet(), ProxyVersions::v1) == ProxyVerdict::invalid);
  CHECK(verdict("P", ProxyVersions::v2) == ProxyVerdict::invalid);
}

TEST_CASE("a version 2 block names the client and where it connected to") {
  const std::string bytes = v2_inet();
  const auto [result, header] = read(bytes);
  REQUIRE(result.verdict == ProxyVerdict::header);
  CHECK(header.version == 2);
  CHECK(text(header.source) == "192.0.2.7/56252");
  CHECK(text(header.destination) == "198.51.100.1/443");

  const std::string six =
      v2(0x21, 0x21,
         "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01" + std::string(15, '\0') + "\x02\x00\x01\xff\xff"s);
  CHECK(text(read(six).header.source) == "2001:db8:0:0:0:0:0:1/1");
  CHECK(text(read(six).header.destination) == "0:0:0:0:0:0:0:2/65535");
}

TEST_CASE("valid version 2 blocks are read") {
  const std::string many = tlv(0x01, "h2") + tlv(0x04, "") + tlv(0xe0, "own") + tlv(0x02, "example.org");
  for (const std::string& block :
       {v2_inet(), v2_inet(many), v2_inet_summed(), v2_inet_summed(many), v2(0x20, 0x00, ""),
        v2(0x20, 0xff, "\x01\xff\xff junk"), v2(0x20, 0x11, ""), v2(0x21, 0x00, ""), v2(0x21, 0x00, many),
        v2(0x21, 0x00, "\x7f\x00\x00\x01\x7f\x00\x00\x01 junk"s), v2(0x21, 0x21, std::string(36, '\1')),
        v2(0x21, 0x12, kInet + many), v2(0x21, 0x10, kInet), v2(0x21, 0x01, ""),
        v2(0x21, 0x31, std::string(216, 'x') + many), v2(0x21, 0x32, std::string(216, '\0')),
        v2_inet(tlv(0x05, std::string(128, 'u'))), v2_inet(tlv(0x20, std::string(5, '\0'))),
        v2_inet(tlv(0x28, std::string(4096 - 16 - 12 - 3, 'c')))}) {
    check_split_at_every_byte(block);
  }
}

TEST_CASE("invalid version 2 blocks are refused with a reason") {
  std::string wrong_sum = v2_inet_summed();
  wrong_sum.back() = static_cast<char>(wrong_sum.back() ^ 1);
  std::string changed = v2_inet_summed();
  changed[17] = static_cast<char>(changed[17] ^ 1);
  const std::string zeros = "\0\0\0\0"s;
  for (const std::string& block : {v2(0x11, 0x11, kInet),
                                   v2(0x31, 0x11, kInet),
                                   v2(0x22, 0x11, kInet),
                                   v2(0x2f, 0x00, ""),
                                   v2(0x21, 0x41, kInet),
                                   v2(0x21, 0xf1, kInet),
                                   v2(0x21, 0x13, kInet),
                                   v2(0x21, 0x1f, kInet),
                                   v2(0x21, 0x11, ""),
                                   v2(0x21, 0x11, kInet.substr(1)),
                                   v2(0x21, 0x12, kInet.substr(1)),
                                   v2(0x21, 0x21, std::string(35, '\0')),
                                   v2(0x21, 0x31, std::string(215, '\0')),
                                   v2_inet("\x01"),
                                   v2_inet("\x01\x00"s),
                                   v2_inet("\x01\x00\x02x"s),
                                   v2_inet(tlv(0x01, "h2") + "\x04\xff\xff"),
                                   v2_inet(tlv(0x05, std::string(129, 'u'))),
                                   wrong_sum,
                                   changed,
                                   v2_inet(tlv(0x03, zeros)),
                                   v2_inet(tlv(0x03, "abc")),
                                   v2_inet(tlv(0x03, zeros + "x")),
                                   v2(0x21, 0x00, tlv(0x03, zeros)),
                                   v2_inet(tlv(0x20, "\x01\0\0\0"s)),
                                   v2_inet(tlv(0x20, "\x01\0\0\0\0\x21\x00\x09TLS"s)),
                                   v2_inet(tlv(0x28, std::string(4096 - 16 - 12 - 2, 'c')))}) {
    const ProxyResult result = read(block).result;
    INFO("16+" << block.size() - 16);
    CHECK(result.verdict == ProxyVerdict::invalid);
    CHECK_FALSE(std::string(result.reason).empty());
  }
}

TEST_CASE("a client that is not a TCP client gets no address") {
  for (const std::string& bytes :
       {"PROXY UNKNOWN 192.0.2.7 192.0.2.8 1 2\r\n"s, v2(0x20, 0x11, kInet), v2(0x21, 0x12, kInet),
        v2(0x21, 0x10, kInet), v2(0x21, 0x00, kInet), v2(0x21, 0x31, std::string(216, '/'))}) {
    const auto [result, header] = read(bytes);
    REQUIRE(result.verdict == ProxyVerdict::header);
    CHECK(text(header.source) == "none");
    CHECK(text(header.destination) == "none");
  }
  CHECK(read(v2(0x20, 0x11, kInet)).header.local);
}

TEST_CASE("a claimed IPv4-mapped address is an IPv4 address") {
  CHECK(text(read("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c000:208 1 2\r\n").header.source) == "192.0.2.7/1");
  CHECK(text(read("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c000:208 1 2\r\n").header.destination) == "192.0.2.8/2");
  const std::string mapped = std::string(10, '\0') + "\xff\xff\xc0\x00\x02\x07"s;
  const auto [result, header] = read(v2(0x21, 0x21, mapped + mapped + "\x00\x01\x00\x02"s));
  CHECK(text(header.source) == "192.0.2.7/1");
  CHECK(text(header.destination) == "192.0.2.7/2");
}

TEST_CASE("type-length-values are views of the header") {
  const std::string description = tlv(0x21, "TLSv1.3") + tlv(0x22, "client.example") + tlv(0x23, "AES128") +
                                  tlv(0x24, "RSA-SHA256") + tlv(0x25, "RSA2048") + tlv(0x26, "x25519") +
                                  tlv(0x27, "rsa_pss") + tlv(0x28, "DER") + tlv(0x2f, "later");
  const std::string bytes = v2_inet_summed(tlv(0x01, "h2") + tlv(0x02, "example.org") + tlv(0x05, "id\0\xff"s) +
                                           tlv(0x30, "blue") + tls(0x03, 0, description) + tlv(0xea, "own"));
  const auto [result, header] = read(bytes);
  REQUIRE(result.verdict == ProxyVerdict::header);
  CHECK(header.alpn == "h2");
  CHECK(header.authority == "example.org");
  CHECK(header.unique_id == "id\0\xff"s);
  CHECK(header.netns == "blue");
  CHECK(header.tls.present);
  CHECK(header.tls.certificate);
  CHECK(header.tls.verified);
  CHECK(header.tls.version == "TLSv1.3");
  CHECK(header.tls.common_name == "client.example");
  CHECK(header.tls.cipher == "AES128");
  CHECK(header.tls.signature_algorithm == "RSA-SHA256");
  CHECK(header.tls.key_algorithm == "RSA2048");
  CHECK(header.tls.group == "x25519");
  CHECK(header.tls.signature_scheme == "rsa_pss");
  CHECK(header.tls.client_certificate == "DER");
  CHECK(header.alpn.data() >= bytes.data());
  CHECK(header.alpn.data() < bytes.data() + bytes.size());
}

TEST_CASE("a certificate counts as verified only if one was sent") {
  CHECK_FALSE(read(v2_inet(tls(0x01, 0, ""))).header.tls.verified);
  CHECK_FALSE(read(v2_inet(tls(0x03, 1, ""))).header.tls.verified);
  CHECK(read(v2_inet(tls(0x05, 0, ""))).header.tls.verified);
  CHECK_FALSE(read(v2_inet(tls(0x00, 0, ""))).header.tls.present);
}

TEST_CASE("values of another family's header are read too, those of LOCAL are not") {
  CHECK(read(v2(0x21, 0x00, tlv(0x02, "example.org"))).header.authority == "example.org");
  CHECK(read(v2(0x21, 0x31, std::string(216, 'x') + tlv(0x02, "example.org"))).header.authority == "example.org");
  CHECK(read(v2(0x20, 0x11, kInet + tlv(0x02, "example.org"))).header.authority.data() == nullptr);
}

TEST_CASE("the first of two headers is read, and the second is the application's") {
  const std::string first = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
  ProxyHeader header;
  const std::string bytes = first + "PROXY TCP4 9.9.9.9 5.6.7.8 1 2\r\n";
  REQUIRE(parse_proxy_header(bytes, ProxyVersions::any, header).verdict == ProxyVerdict::header);
  CHECK(header.size == first.size());
  CHECK(text(header.source) == "1.2.3.4/1");
}

TEST_CASE("CRC32C has the check value of its definition") {
  CHECK(Crc32c().add("123456789").value() == 0xe3069283U);
  CHECK(Crc32c().add(std::string(32, '\0')).value() == 0x8a9136aaU);  // RFC 3720, B.4
  CHECK(Crc32c().add(std::string(32, '\xff')).value() == 0x62a8ab43U);
}
