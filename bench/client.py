"""The load of one seat: the lab's traffic client, which also writes down every single request.

``python -m bench.client URL TRACE [options of tests.lab.traffic]``. The account on standard output is the lab's; the
trace has one line a request, in the order in which they ended: when it was begun (seconds since the epoch), how long
it took, its outcome ("ok", or the kind of failure), and who answered ("-" if nobody did).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tests.lab.traffic_client import Client, Connection, Request

FLUSH = 0.05  # seconds between two writes of the trace


class Tracing(Client):
    """A client that keeps a trace."""

    def __init__(self, trace: Path, request: Request, **options: object) -> None:
        super().__init__(request, **options)  # type: ignore[arg-type]
        self._epoch = time.time() - time.monotonic()
        self._file = trace.open("a")
        self._lines: list[str] = []
        self._written = 0.0

    def run(self) -> None:
        """As the lab's, with the trace complete at the end."""
        try:
            super().run()
        finally:
            self._flush()
            self._file.close()

    def await_events(self, due: float) -> None:
        super().await_events(due)
        if time.monotonic() - self._written > FLUSH:
            self._flush()

    def _flush(self) -> None:
        self._written = time.monotonic()
        if self._lines:
            self._file.write("".join(self._lines))
            self._file.flush()
            self._lines.clear()

    def count_good(self, connection: Connection) -> None:
        begun, good = connection.begun, connection.answer.status in self.good
        outcome = "ok" if good else f"status_{connection.answer.status}"
        self._note(begun, outcome, connection.answer.headers.get("x-app", "-"))
        super().count_good(connection)

    def count_failure(self, connection: Connection, kind: str, detail: str) -> None:
        self._note(connection.begun, kind, "-")
        super().count_failure(connection, kind, detail)

    def _note(self, begun: float, outcome: str, who: str) -> None:
        now = time.monotonic()
        begun = begun or now  # a connection that failed on the spot
        self._lines.append(f"{begun + self._epoch:.6f} {now - begun:.6f} {outcome} {who}\n")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.client")
    parser.add_argument("url")
    parser.add_argument("trace", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--no-keepalive", action="store_true")
    parser.add_argument("--most-seconds", type=float, required=True)
    options = parser.parse_args()
    client = Tracing(
        options.trace,
        Request.of(options.url, options.host, "", "GET", [], 0),
        rate=options.rate,
        connections=options.connections,
        keepalive=not options.no_keepalive,
        timeout=options.timeout,
        good=range(200, 400),
        most_seconds=options.most_seconds,
        most_requests=10**9,
    )
    client.run()


if __name__ == "__main__":
    main()
