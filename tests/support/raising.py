"""lbgen with mistakes in it: ``python -m tests.support.raising FILE WORDS...`` runs lbgen with these words.

FILE is JSON: ``{"functions": {"lbgen.daemon.loop.Loop.round": "RuntimeError"}, "now": [], "odds": 0.1, "seed": 7}``.
It is read anew whenever it has changed. The functions in "now" raise the exception they are listed with, as
often as "odds" says (always, where it is 1). Each time a line is written to FILE.raised.

What failed is tried again after `SHORTEST` to `LONGEST` seconds: how pauses grow is tested elsewhere, by a clock.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHORTEST, LONGEST = 0.1, 0.5  # seconds until what failed is tried again


class Faults:
    """What is to be raised now."""

    def __init__(self, file: Path) -> None:
        self._file, self._raised = file, file.with_suffix(".raised")
        self._read: tuple[int, int] = (0, 0)
        self.plan: dict[str, Any] = {}
        self.renew()
        self._random = random.Random(self.plan.get("seed", 0))

    def renew(self) -> None:
        """Read the file if it has changed."""
        status = self._file.stat()
        if self._read != (status.st_mtime_ns, status.st_ino):
            self._read = status.st_mtime_ns, status.st_ino
            self.plan = json.loads(self._file.read_text())

    def strike(self, name: str) -> None:
        """Raise what this function is to raise, if it is now."""
        self.renew()
        if name in self.plan.get("now", ()) and self._random.random() < self.plan.get("odds", 1):
            with self._raised.open("a") as raised:
                raised.write(f"{name}\n")
            raise getattr(builtins, self.plan["functions"][name])(f"a mistake in {name}")


def put_into(name: str, faults: Faults) -> None:
    """Replace a function of a module, or a method, by one that may raise before it is called."""
    place, attribute = owner(name)
    function = vars(place)[attribute] if isinstance(place, type) else getattr(place, attribute)
    if isinstance(function, property):
        setattr(place, attribute, property(_faulty(name, function.fget, faults)))
    else:
        setattr(place, attribute, _faulty(name, function, faults))


def _faulty(name: str, function: Any, faults: Faults) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **keys: Any) -> Any:
        faults.strike(name)
        return function(*args, **keys)

    return called


def owner(name: str) -> tuple[Any, str]:
    """Return what has the function, a module or a class, and its name there."""
    *parts, attribute = name.split(".")
    module = next(length for length in range(len(parts), 0, -1) if _is_module(".".join(parts[:length])))
    return functools.reduce(getattr, parts[module:], importlib.import_module(".".join(parts[:module]))), attribute


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def hurry() -> None:
    """Have the pauses short after which lbgen tries again: before it has made anything that has them."""
    from lbgen.base.unexpected import UNEXPECTED, UnexpectedErrors
    from lbgen.source.engine.schedule import Pace
    from lbgen.source.engine.source import EngineSource

    vars(EngineSource)["__init__"].__kwdefaults__["pace"] = Pace(retry_min=SHORTEST, retry_max=LONGEST)
    vars(UNEXPECTED).update(vars(UnexpectedErrors(first_pause=SHORTEST, longest_pause=LONGEST)))


if __name__ == "__main__":
    planned = Faults(Path(sys.argv[1]))
    hurry()
    for each in planned.plan["functions"]:
        put_into(each, planned)
    from lbgen.cli.main import main

    sys.argv = ["lbgen", *sys.argv[2:]]
    main()
