"""Where identifiers come from: one injectable source for Call-IDs, tags, branches and ids of ours.

Nothing in the pure rooms calls a random generator of its own, so that a test can replay a call byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["BRANCH_COOKIE", "Ids"]

BRANCH_COOKIE = "z9hG4bK"
"""RFC 3261 §8.1.1.7: the branch ID inserted by an element compliant with this specification MUST always begin with
these characters."""

_POOL_BYTES = 4096


class Ids:
    """Makes identifiers that cannot be guessed (RFC 3261 §19.3 asks for at least 32 bits of randomness; these have 96
    or more).

    `entropy(n)` returns n random bytes; the default is the operating system's. Random bytes are drawn in blocks, since
    a system call for each identifier would show in the cost of a call.
    """

    __slots__ = ("_entropy", "_offset", "_pool")

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._pool = ""
        self._offset = 0

    def token(self, octets: int = 12) -> str:
        """Return `octets` random bytes as lower-case hexadecimal text, twice as long."""
        end = self._offset + 2 * octets
        if end > len(self._pool):
            self._pool = self._entropy(max(_POOL_BYTES, octets)).hex()
            self._offset, end = 0, 2 * octets
        text = self._pool[self._offset : end]
        self._offset = end
        return text

    def branch(self) -> str:
        """Return a Via branch, unique across space and time (RFC 3261 §8.1.1.7)."""
        return BRANCH_COOKIE + self.token(12)

    def tag(self) -> str:
        """Return a From or To tag (RFC 3261 §19.3)."""
        return self.token(8)

    def call_id(self) -> str:
        """Return a Call-ID that says nothing of this host (RFC 3261 §8.1.1.4 asks for uniqueness, not for a host
        name)."""
        return self.token(16)

    def octets(self, count: int) -> bytes:
        """Return `count` random bytes, for keys: they come from nowhere else, and are kept nowhere."""
        return self._entropy(count)

    def number(self, bits: int) -> int:
        """Return a random number below 2**`bits`; `bits` is a multiple of eight."""
        return int(self.token(bits // 8), 16)
