"""What listens on this machine, from the kernel's sock_diag(7). /proc/net/tcp would do too, but it lists every connection that has
ended within the last minute, and after a storm of clients takes a tenth of a second to read."""

import collections
import errno
import os
import socket
import struct

Listening = collections.namedtuple("Listening", "host port inode")

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
REQUEST_DUMP = 0x301
LISTEN = 10
HEADER = struct.Struct("=IHHII")
QUESTION = struct.Struct("=BBBBI48x")
ANSWER = struct.Struct("=4x2s2x16s44xI")  # inet_diag_msg: the port and address, and the inode at its end


def listening_sockets():
    """Every TCP socket that listens: [(host, port, inode)]."""
    return [one for family in (socket.AF_INET, socket.AF_INET6) for one in _of_family(family)]


def listening_on(port):
    """Whether any socket listens on the port."""
    return any(one.port == port for one in listening_sockets())


def _of_family(family):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as asked:
        question = QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << LISTEN)
        asked.send(HEADER.pack(HEADER.size + len(question), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0) + question)
        while True:
            answer = asked.recv(1 << 16)
            while answer:
                size, kind, _, _, _ = HEADER.unpack_from(answer)
                if kind != SOCK_DIAG_BY_FAMILY:
                    return _the_end(kind, answer)
                yield _listening(family, answer)
                answer = answer[(size + 3) & ~3:]


def _listening(family, answer):
    port, address, inode = ANSWER.unpack_from(answer, HEADER.size)
    host = socket.inet_ntop(family, address[:4] if family == socket.AF_INET else address)
    return Listening(host, int.from_bytes(port, "big"), inode)


def _the_end(kind, answer):
    """An NLMSG_DONE, or an error."""
    if kind == 2:
        number = -struct.unpack_from("=i", answer, HEADER.size)[0]
        if number not in (0, errno.ENOENT):
            raise OSError(number, os.strerror(number))
