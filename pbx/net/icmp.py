"""What the kernel's error queue says of datagrams that did not arrive (ip(7), ``IP_RECVERR``)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass

__all__ = ["IcmpError", "enable", "read_errors"]

# linux/in.h, linux/in6.h, linux/errqueue.h; Python's socket module does not name them.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_ANCILLARY = 512
_MOST_ERRORS = 256

_V4_UNREACHABLE, _V4_PARAMETER_PROBLEM = 3, 12
_V4_FRAGMENTATION_NEEDED = 4
_V6_UNREACHABLE, _V6_PARAMETER_PROBLEM = 1, 4


@dataclass(frozen=True, slots=True)
class IcmpError:
    """One error: which peer it is about, whether its transactions should fail, and what it says."""

    remote: tuple[str, int]
    fatal: bool
    detail: str


def enable(sock: socket.socket) -> None:
    """Ask the kernel for ICMP errors of an unconnected datagram socket."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def read_errors(sock: socket.socket) -> list[IcmpError]:
    """Empty the error queue of `sock` (256 entries at most in one go) and return what was there."""
    errors: list[IcmpError] = []
    for _ in range(_MOST_ERRORS):
        try:
            _, ancillary, _, remote = sock.recvmsg(0, _ANCILLARY, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:
            break
        for level, kind, data in ancillary:
            if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
                error = _decode(data, remote)
                if error is not None:
                    errors.append(error)
    return errors


def _decode(data: bytes, remote: tuple[str, int]) -> IcmpError | None:
    if len(data) < _EXTENDED_ERROR.size or not remote:
        return None
    number, origin, kind, code, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
    # RFC 3261 §18.4: Host, network, port or protocol unreachable errors, or parameter problem errors SHOULD cause the
    # transport layer to inform the transport user of a failure in sending. Source quench and TTL exceeded ICMP errors
    # SHOULD be ignored.
    if origin == _ORIGIN_ICMP:
        fatal = kind == _V4_PARAMETER_PROBLEM or (kind == _V4_UNREACHABLE and code != _V4_FRAGMENTATION_NEEDED)
    elif origin == _ORIGIN_ICMP6:
        fatal = kind in (_V6_UNREACHABLE, _V6_PARAMETER_PROBLEM)
    else:
        fatal = number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)
    return IcmpError((remote[0], remote[1]), fatal, os.strerror(number))
