"""Whether the rooms are compiled (`make test-compiled`): a compiled module refuses what its types forbid."""

from __future__ import annotations

import pytest

import pbx.sip.machine

__all__ = ["interpreted_only"]

COMPILED = str(pbx.sip.machine.__file__).endswith(".so")

interpreted_only = pytest.mark.skipif(COMPILED, reason="does what the types forbid")
"""For tests that subclass what is compiled, or give it a value of a wrong type."""
