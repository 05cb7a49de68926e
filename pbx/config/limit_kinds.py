"""Kinds of value that say what is tried next, and how much there may be of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from pbx.config.kinds import Kind, as_list
from pbx.failover import NextOn, parse_next_on

__all__ = ["NextOnWords", "Rate"]


def _next_on(value: object) -> object:
    if value is None or isinstance(value, NextOn):
        return value
    words = as_list(value)
    if not isinstance(words, list | tuple):
        raise ValueError("a list of failures is wanted, such as [5xx, 408, timeout]")
    return parse_next_on(str(word) for word in words)


Rate = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False), Kind("number", "5")]
"""So many a second."""
NextOnWords = Annotated[NextOn, BeforeValidator(_next_on), Kind("list of failures", "[5xx, 408, timeout, network]")]
