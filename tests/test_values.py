from __future__ import annotations

import pickle
from dataclasses import field, fields, replace

import pytest

from pbx.values import Enum, dataclass


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    name: str

    def __hash__(self) -> int:
        return 7


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def test_a_value_is_made_compared_hashed_shown_and_replaced_as_a_dataclass_is() -> None:
    point = Point(1, tags=("a",))
    assert point == Point(1, 0, ("b",)) != Point(2)
    assert {point: "here"}[Point(1)] == "here"
    assert repr(point) == "Point(x=1, y=0, tags=('a',))"
    assert replace(point, y=3) == Point(1, 3)
    assert [one.name for one in fields(Point)] == ["x", "y", "tags"]
    assert not hasattr(point, "__dict__")
    assert pickle.loads(pickle.dumps(point)) == point
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]


def test_a_value_with_its_own_hash_keeps_it() -> None:
    assert hash(Named("a")) == 7
    assert Named("a") != Named("a")


def test_an_enumeration_is_one() -> None:
    assert list(Colour) == [Colour.RED, Colour.BLUE]
    assert Colour("red") is Colour.RED
    assert {Colour.RED: 1}[Colour["RED"]] == 1
    assert pickle.loads(pickle.dumps(Colour.BLUE)) is Colour.BLUE
