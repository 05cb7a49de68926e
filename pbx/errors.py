"""The error tree.

Every error that Tandem raises on purpose descends from `TandemError`, and the second level says whose fault it is::

    TandemError
     ├─ ProtocolError            a peer's bytes or behaviour; becomes a response, or a drop with a counter
     │   ├─ ParseError           bytes that are no message
     │   └─ NegotiationError     an offer or answer that cannot be met (488)
     ├─ ConfigurationError       the operator's files; carries every fault with its position
     ├─ EnvironmentFault         the machine: a taken port, an unwritable directory, a missing sound
     └─ UsageError               our own caller broke a contract; a bug, ends the one call it happened in
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "EnvironmentFault",
    "NegotiationError",
    "ParseError",
    "ProtocolError",
    "TandemError",
    "UsageError",
]


class TandemError(Exception):
    """The root of every error raised on purpose."""


class ProtocolError(TandemError):
    """A peer sent what the protocol does not allow.

    `status` is the SIP response that the fault deserves, `reason` a phrase fit to be sent to the peer.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class ParseError(ProtocolError):
    """Bytes that do not form a message."""


class NegotiationError(ProtocolError):
    """A session description that cannot be met; `cause` is the slug of the `EndCause` for a call that ends by it."""

    def __init__(self, reason: str, status: int = 488, cause: str = "media-unacceptable") -> None:
        super().__init__(reason, status)
        self.cause = cause


class ConfigurationError(TandemError):
    """A faulty configuration or dialplan; `faults` holds one line each: ``file:line:column: what, and what to do``."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class EnvironmentFault(TandemError):
    """The machine refuses something that is needed; the message says what, where and what to do."""


class UsageError(TandemError):
    """A contract between our own rooms was broken. Never caused by a peer's bytes."""
