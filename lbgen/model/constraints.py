"""Constraints in the syntax that Swarm writes placement with: ``KEY==VALUE`` and ``KEY!=VALUE``, separated by commas.

Source: swarmkit's constraint package and the Docker service-create reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lbgen.labels.values.value_type import BadValue

T = TypeVar("T")
Reader = Callable[[T], str]  # what a key stands for

_VALUE = r"[-A-Za-z0-9:_.*()?+\[\]\\^$|/]"  # swarmkit's characters
_CONSTRAINT = re.compile(rf"([A-Za-z0-9_.-]+)\s*(==|!=)\s*({_VALUE}(?:{_VALUE}|\s)*)")


@dataclass(frozen=True, slots=True)
class Constraint(Generic[T]):
    """One of them."""

    text: str  # as it was written
    key: str
    read: Reader[T]
    equal: bool
    value: str
    exact: bool  # upper and lower case are two; Swarm's own are compared without

    def holds(self, subject: T) -> bool:
        """Whether it is true of this one."""
        found, wanted = self.read(subject), self.value
        return (found == wanted if self.exact else found.casefold() == wanted.casefold()) == self.equal


@dataclass(frozen=True, slots=True)
class Chooser(Generic[T]):
    """Tells of what all of some constraints are true."""

    constraints: tuple[Constraint[T], ...] = ()

    def __call__(self, subject: T) -> bool:
        """Whether they are of this one."""
        return all(constraint.holds(subject) for constraint in self.constraints)

    def refusal(self, subject: T) -> str:
        """Return the first constraint that is not true; empty if there is none."""
        return next((constraint.text for constraint in self.constraints if not constraint.holds(subject)), "")


def parse(
    text: str, reader: Callable[[str], Reader[T] | None], *, exact: bool, otherwise: Callable[[str], BadValue]
) -> Chooser[T]:
    """Return the test that comma-separated constraints are; an empty text is always true.

    Args:
        reader: what a key stands for; None: it is unknown.
        otherwise: makes the error for a part that is not a constraint.
    Raises:
        BadValue: there is such a part.
    """
    return Chooser(
        tuple(_one(part.strip(), reader, exact, otherwise) for part in (text.split(",") if text.strip() else ()))
    )


def _one(
    text: str, reader: Callable[[str], Reader[T] | None], exact: bool, otherwise: Callable[[str], BadValue]
) -> Constraint[T]:
    match = _CONSTRAINT.fullmatch(text)
    read = reader(match[1]) if match else None
    if not match or not read:
        raise otherwise(text)
    return Constraint(text, match[1], read, match[2] == "==", match[3].strip(), exact)
