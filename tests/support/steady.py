"""Steady traffic beside what a test does, to see whether any of it is lost."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator

from tests.support.clients import Client
from tests.support.wait import PATIENCE, wait_for

PAUSE = 0.005  # seconds between two requests
MOST = 100_000  # requests: a test that hangs ends it


class Traffic:
    """Asks again and again, and remembers what was not answered."""

    def __init__(self, ask: Callable[[], str]) -> None:
        """
        Args:
            ask: returns what is wrong, "" if nothing is; what it raises is wrong, too.
        """
        self._ask, self._done = ask, threading.Event()
        self.count, self.failed = 0, list[str]()

    def run(self) -> None:
        while not self._done.wait(PAUSE) and self.count < MOST:
            self.count += 1
            try:
                wrong = self._ask()
            except (OSError, http.client.HTTPException) as error:
                wrong = repr(error)
            if wrong:
                self.failed.append(f"request {self.count}: {wrong}")

    def more(self, number: int = 5) -> None:
        """Wait for so many more requests."""
        until = self.count + number
        wait_for(lambda: self.count >= until, "traffic")

    def end(self) -> None:
        self._done.set()


@contextlib.contextmanager
def steady(ask: Callable[[], str]) -> Iterator[Traffic]:
    """Ask while the block runs, and a little before and after what it does."""
    traffic = Traffic(ask)
    thread = threading.Thread(target=traffic.run, daemon=True)
    thread.start()
    try:
        traffic.more()
        yield traffic
        traffic.more()
    finally:
        traffic.end()
        thread.join(PATIENCE)


def requests(port: int) -> Callable[[], str]:
    """One request after the other, each on a connection of its own."""

    def ask() -> str:
        client = Client(port)
        try:
            status = client.ask().status
        finally:
            client.close()
        return "" if status == 200 else f"status {status}"

    return ask
