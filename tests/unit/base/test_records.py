"""Dataclasses that cost little: they are what the standard library makes of the same class."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest

from lbgen.base import records

OPTIONS = [
    {},
    {"slots": True},
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "order": True},
    {"frozen": True, "kw_only": True},
    {"eq": False, "slots": True},
]


def point(dataclass: Callable[..., Any], options: dict[str, bool]) -> Any:
    """A class with a field of each kind."""

    class Point:
        """A place."""

        x: int
        y: int = 0
        names: list[str] = field(default_factory=list, compare=False)
        seen: int = field(default=3, init=False)
        made: tuple[int, ...] = field(default_factory=tuple, init=False, repr=False)
        only: str = field(default="", kw_only=True, hash=False)

    return dataclass(**options)(Point)


def outcome(of: Callable[[], Any]) -> Any:
    """The result, or the kind and text of the error."""
    try:
        return of()
    except Exception as error:
        return type(error), str(error)


def behaviour(Point: Any) -> list[Any]:
    """What objects of a class can and cannot do."""
    one, same, other = Point(x=1), Point(x=1), Point(x=2, y=5, names=["a"], only="b")
    return [
        [repr(each) for each in (one, same, other)],
        [one == same, one == other, one != other, one == 1],
        [repr(outcome(call)) for call in (Point, lambda: Point(1), lambda: Point(x=1, seen=2))],
        [outcome(lambda: hash(one) == hash(same)), Point.__hash__ is None],
        [outcome(call) for call in (lambda: one < other, lambda: other >= one, lambda: one <= same, lambda: one < 1)],
        [repr(dataclasses.replace(other, x=7)), dataclasses.astuple(other), Point.__match_args__],
        [repr(copy.copy(other)), repr(copy.deepcopy(other)), one.names is not same.names],
        [outcome(lambda: setattr(other, "x", 9)), outcome(lambda: delattr(other, "y")), other.x],
        [hasattr(one, "__dict__"), Point.__doc__],
    ]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_like_the_standard_librarys(options):
    """Objects are made, compared, hashed, shown, copied and refused alike."""
    assert behaviour(point(records.dataclass, options)) == behaviour(point(dataclasses.dataclass, options))


@records.dataclass(frozen=True, slots=True)
class Kept:
    """Can be pickled: it is a module's."""

    name: str
    more: tuple[int, ...] = ()


@records.dataclass(frozen=True, slots=True)
class Derived(Kept):
    """Has one field more, and checks it."""

    size: int = 0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("less than nothing")


def test_derived():
    """Fields are inherited, equality and hash are of the very class, and what a class says of itself is kept."""
    assert repr(Derived("a", (1,), 2)) == "Derived(name='a', more=(1,), size=2)"
    assert Derived("a") != Kept("a")
    assert pickle.loads(pickle.dumps(Derived("a", (1,), 2))) == Derived("a", (1,), 2)
    with pytest.raises(ValueError, match="less than nothing"):
        Derived("a", size=-1)
    with pytest.raises(FrozenInstanceError):
        Derived("a").size = 1


def test_own_methods():
    """A method that the class has is not replaced."""

    @records.dataclass(frozen=True)
    class Own:
        a: int

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "own"

    @records.dataclass
    class Hashed:
        a: int

        def __hash__(self) -> int:
            return 7

    assert Own(1) == Own(2)
    assert hash(Own(1)) == hash(Own(1))
    assert repr(Own(1)) == "own"
    assert hash(Hashed(1)) == 7


def test_sorted():
    """Objects are ordered by their fields, in the fields' order."""

    @records.dataclass(frozen=True, slots=True, order=True)
    class Pair:
        a: int
        b: int

    pairs = [Pair(a, b) for a in range(3) for b in range(3)]
    mixed = random.Random(1).sample(pairs, len(pairs))
    assert sorted(mixed) == pairs


def test_recursive():
    """An object that is in itself can be shown."""
    node = point(records.dataclass, {})(x=1)
    node.names.append(node)
    assert "..." in repr(node)


def test_nothing_compiled(monkeypatch):
    """To decorate a class compiles nothing; the first object has its `__init__` compiled."""
    compiled: list[str] = []
    monkeypatch.setitem(vars(dataclasses), "exec", lambda *_: compiled.append("there"))
    monkeypatch.setitem(vars(records), "exec", lambda text, names: (compiled.append(text), exec(text, names)))
    Point = point(records.dataclass, {"frozen": True, "slots": True})
    assert not compiled
    Point(1)
    Point(2)
    assert len(compiled) == 1
