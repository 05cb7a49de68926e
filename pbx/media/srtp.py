"""What the native engine protects SRTP with: the libsrtp that comes with pylibsrtp.

Its functions are handed to the engine as pointers, so that no packet goes through Python. They must be those of libsrtp
2, which is made sure of here and by the engine: with any other there is no SRTP, and `srtp_fault` says why.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

# Importing the package initialises its libsrtp.
import pylibsrtp
from pylibsrtp import _binding

from pbx.native._engine import ffi, lib
from pbx.sdp.sdes import SUITES, MasterKey

if TYPE_CHECKING:
    from pbx.native._engine import _CData

__all__ = ["native_key", "srtp_fault", "srtp_functions", "srtp_suites"]

_SESSION = "struct srtp_ctx_t_ *"
_TYPES = {
    "create": f"{_SESSION} *, struct srtp_policy_t *",
    "dealloc": _SESSION,
    "protect": f"{_SESSION}, void *, int *",
    "unprotect": f"{_SESSION}, void *, int *",
    "protect_rtcp": f"{_SESSION}, void *, int *",
    "unprotect_rtcp": f"{_SESSION}, void *, int *",
    "remove_stream": f"{_SESSION}, unsigned int",
}
"""What libsrtp 2 takes; version 3 changed nearly all of it under the same names."""

_NUMBERS = {suite: getattr(lib, "ENGINE_" + suite) for suite in SUITES}


@cache
def srtp_fault() -> str:
    """Return why there is no SRTP; empty if there is."""
    theirs = _binding.ffi
    for name, arguments in _TYPES.items():
        function = getattr(_binding.lib, "srtp_" + name, None)
        wanted = f"srtp_err_status_t(*)({arguments})"
        if function is None or theirs.typeof(theirs.addressof(_binding.lib, "srtp_" + name)).cname != wanted:
            return f"pylibsrtp {pylibsrtp.__version__} holds another libsrtp than version 2 (srtp_{name})"
    return ""


@cache
def srtp_functions() -> _CData | None:
    """Return pylibsrtp's `struct engine_srtp`, which lives as long as the process; None if there is no SRTP."""
    if srtp_fault():
        return None
    functions = ffi.new("struct engine_srtp *")
    for name in _TYPES:
        address = int(_binding.ffi.cast("uintptr_t", _binding.ffi.addressof(_binding.lib, "srtp_" + name)))
        setattr(functions, name, ffi.cast(ffi.typeof(getattr(functions, name)), address))
    functions.policy_size = _binding.ffi.sizeof("srtp_policy_t")
    return functions


@cache
def srtp_suites() -> frozenset[str]:
    """Return the names of the suites that libsrtp can do, each tried; none if there is no SRTP."""
    functions = srtp_functions()
    if functions is None:
        return frozenset()
    return frozenset(suite for suite, number in _NUMBERS.items() if lib.engine_srtp_supports(functions, number))


def native_key(key: MasterKey | None, kept: list[_CData]) -> _CData:
    """Return a key as the engine takes it; what it points to is put into `kept`, and must live until it was taken."""
    if key is None:
        return ffi.NULL
    made = ffi.new("struct engine_key *")
    octets, mki = ffi.new("uint8_t[]", key.key), ffi.new("uint8_t[]", key.mki or b"\0")
    kept += [made, octets, mki]
    made.suite = _NUMBERS[key.suite]
    made.key, made.key_size = octets, len(key.key)
    made.mki, made.mki_size = mki, len(key.mki)
    return made
