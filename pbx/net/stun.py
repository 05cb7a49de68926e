"""STUN binding on the SIP port (RFC 8489): RFC 5626 §8 lets clients keep their UDP pin-holes open that way."""

from __future__ import annotations

import socket
import struct

from pbx.net.transport import Address, family_of

__all__ = ["binding_response", "is_stun"]

_HEADER = struct.Struct(">HHI12s")
_COOKIE = 0x2112A442
_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_XOR_MAPPED_ADDRESS = 0x0020
_V4, _V6 = 1, 2


def is_stun(data: bytes) -> bool:
    """Return whether `data` is a STUN message (RFC 8489 §5: two zero bits and the magic cookie)."""
    return len(data) >= _HEADER.size and data[0] < 4 and data[4:8] == _COOKIE.to_bytes(4, "big")


def binding_response(data: bytes, remote: Address) -> bytes | None:
    """Return the success response to a binding request that came from `remote`; None for any other STUN message."""
    kind, length, _, transaction = _HEADER.unpack_from(data)
    if kind != _BINDING_REQUEST or length != len(data) - _HEADER.size:
        return None
    host, port = remote
    mask = _COOKIE.to_bytes(4, "big") + transaction
    if family_of(host) == 6:
        family, octets = _V6, socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    else:
        family, octets = _V4, socket.inet_aton(host)
    hidden = bytes(one ^ other for one, other in zip(octets, mask, strict=False))
    value = struct.pack(">BBH", 0, family, port ^ (_COOKIE >> 16)) + hidden
    attribute = struct.pack(">HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    return _HEADER.pack(_BINDING_SUCCESS, len(attribute), _COOKIE, transaction) + attribute
