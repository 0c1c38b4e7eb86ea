"""Sources whose snapshots tests make themselves."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from lbgen.snapshot import Snapshot
from lbgen.source import PartState, Source


class QuietSource(Source):
    """It follows nothing."""

    def take(self) -> Snapshot:
        """Fail: the loop only follows its source, and a test in which something else is asked for has to fail."""
        raise AssertionError("the loop takes no single snapshot")

    def follow(self) -> Iterator[Snapshot]:
        """Tell of nothing."""
        return iter(())

    def relist(self) -> None:
        """Tell of nothing again."""

    def close(self) -> None:
        """End nothing."""

    def states(self) -> tuple[PartState, ...]:
        """Tell of nothing that goes on."""
        return (PartState("file", mode="file"),)


class GivenSource(QuietSource):
    """It tells what it is given."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()

    def give(self, facts: Snapshot) -> None:
        """Have this told next."""
        self._queue.put(facts)

    def follow(self) -> Iterator[Snapshot]:
        """Tell each that is given, until `close`."""
        while facts := self._queue.get():
            yield facts

    def close(self) -> None:
        """End `follow`."""
        self._queue.put(None)
