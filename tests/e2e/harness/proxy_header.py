"""PROXY headers as a balancer sends them (HAProxy, doc/proxy-protocol.txt), right ones and parts to build wrong ones of."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT = ("192.0.2.7", 56324)
SERVICE = ("198.51.100.1", 443)
CLIENT6 = ("2001:db8::7", 56324)
SERVICE6 = ("2001:db8::1", 443)


def family_of(end):
    return ipaddress.ip_address(end[0]).version


def proxy_v1(source=CLIENT, destination=SERVICE):
    return f"PROXY TCP{family_of(source)} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def value(kind, data):
    return struct.pack(">BH", kind, len(data)) + data


def block(command, family, rest):
    return SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


def proxy_v2(source=CLIENT, destination=SERVICE, values=b""):
    addresses = ipaddress.ip_address(source[0]).packed + ipaddress.ip_address(destination[0]).packed
    family = 0x11 if family_of(source) == 4 else 0x21
    return block(0x21, family, addresses + struct.pack(">HH", source[1], destination[1]) + values)


def tls(version=b"", cipher=b"", name=b"", client=1, verify=0):
    parts = b"".join(value(kind, data) for kind, data in ((0x21, version), (0x22, name), (0x23, cipher)) if data)
    return value(0x20, struct.pack(">BI", client, verify) + parts)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def summed(values=b""):
    """A version 2 header that ends with the checksum of itself."""
    header = proxy_v2(values=values + value(3, bytes(4)))
    return header[:-4] + struct.pack(">I", crc32c(header))
