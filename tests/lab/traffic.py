"""Load with exact accounting: every request has one outcome, and all of them add up.

``python -m tests.lab.traffic URL --rate 200`` sends requests at a steady rate over a few connections until
its standard input ends, then prints the account as JSON. `Traffic` does that in another process, if wanted in
another network namespace, and reads the account.

The client is polite, as browsers, curl and Go are: before it reuses an idle connection it looks whether the
server has closed it. What still fails is what a visitor of the site would have seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tests.lab.settings import LabError
from tests.support.wait import wait_for

# Failure kinds: refused, unreachable    no connection
#                timeout                 no connection, or no complete answer, in time
#                reset                   RST before the answer was complete
#                closed_without_answer   FIN before the first byte of an answer
#                truncated               FIN inside an answer
#                malformed               an answer that is not HTTP
#                bad_status              a complete answer with a status that was not asked for
MOST_REQUESTS = 300_000
MOST_SECONDS = 300.0
FAILURES_KEPT = 50


@dataclass
class Result:
    """The account. ``sent == ok + failed`` once traffic has ended; while it flows, some are on their way."""

    sent: int = 0
    ok: int = 0
    statuses: dict[str, int] = field(default_factory=dict)  # every complete answer, by status
    responders: dict[str, int] = field(default_factory=dict)  # by X-App: who answered how often
    versions: dict[str, int] = field(default_factory=dict)  # by X-Version
    first_seen: dict[str, float] = field(default_factory=dict)  # by X-App: time.time() of the first answer
    last_seen: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)  # by kind
    failed_first: list[dict[str, Any]] = field(default_factory=list)  # "time", "kind", "detail"; the first 50
    connections: int = 0  # connections made
    seconds: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)  # "median", "p99", "max": seconds

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def in_flight(self) -> int:
        return self.sent - self.ok - self.failed

    def __str__(self) -> str:
        lines = [f"{self.sent} sent, {self.ok} ok, failures {self.failures}, by {self.responders}"]
        lines += [f"{item['time']:.3f} {item['kind']}: {item['detail']}" for item in self.failed_first[:10]]
        return "\n  ".join(lines)


class Traffic:
    """Traffic as a context: it flows inside the block, and `result` is the account afterwards.

    >>> with Traffic(f"http://{address}:{port}/", rate=200, host="shop.example.org") as traffic:
    ...     service.update("--force")
    >>> assert not traffic.result.failed, traffic.result
    """

    def __init__(
        self,
        url: str,
        rate: float = 200,
        *,
        host: str = "",
        path: str = "",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body_bytes: int = 0,
        keepalive: bool = True,
        connections: int = 8,
        timeout: float = 5.0,
        ok: str = "200-399",
        netns: str | None = None,
        most_seconds: float = 120.0,
        most_requests: int = MOST_REQUESTS,
    ) -> None:
        """Args are those of the command: `url` needs an IP literal, `rate` is per second."""
        options = [f"--rate={rate}", f"--host={host}", f"--path={path}", f"--method={method}", f"--ok={ok}"]
        options += [f"--body-bytes={body_bytes}", f"--connections={connections}", f"--timeout={timeout}"]
        options += [f"--most-seconds={most_seconds}", f"--most-requests={most_requests}"]
        options += [f"--header={name}: {value}" for name, value in (headers or {}).items()]
        options += [] if keepalive else ["--no-keepalive"]
        enter = ["nsenter", f"--net={netns}"] if netns else []
        self.command = [*enter, sys.executable, "-m", "tests.lab.traffic", url, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._last = Result()

    def __enter__(self) -> Traffic:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(self.command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._ask()  # answered when requests flow
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def stop(self) -> Result:
        """End the traffic, wait for answers under way, and return the account."""
        if self._process is not None and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        return self.finish()

    def finish(self) -> Result:
        """Let the traffic reach its cap (``most_requests``, ``most_seconds``) and return the account."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                assert process.stdout is not None
                self._last = _result(process.stdout.readlines()[-1:] or [b""])
        return self._last

    @property
    def result(self) -> Result:
        """The account: as of now while traffic flows, else the final one."""
        return self._last if self._process is None else self._ask()

    def wait_for(self, predicate: Callable[[Result], object], timeout: float = 30, what: str = "") -> Result:
        """Wait until the account so far satisfies `predicate(result)`, and return it."""

        def reached() -> Result:
            if not predicate(now := self.result):
                raise LabError(str(now))
            return now

        return wait_for(reached, what or "traffic", timeout, not_yet=(LabError,))

    def _ask(self) -> Result:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # a cap was reached: what follows is the final account
            return self.stop()
        return _result([self._process.stdout.readline()])


def _result(lines: list[bytes]) -> Result:
    if not lines[0].strip():
        raise RuntimeError("the traffic process ended without an account; its message is on stderr")
    known = {item.name for item in fields(Result)}
    return Result(**{key: value for key, value in json.loads(lines[0]).items() if key in known})


def main() -> None:
    """The command."""
    from tests.lab.traffic_client import Client, Request

    parser = argparse.ArgumentParser(prog="python -m tests.lab.traffic", description=__doc__)
    parser.add_argument("url", help="http://ADDRESS:PORT/PATH, the address an IP literal")
    parser.add_argument("--rate", type=float, default=200, help="requests per second")
    parser.add_argument("--connections", type=int, default=8, help="most requests at a time")
    parser.add_argument("--host", default="", help="Host header")
    parser.add_argument("--path", default="", help="path, instead of the URL's")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    parser.add_argument("--body-bytes", type=int, default=0, help="size of the body to send")
    parser.add_argument("--no-keepalive", action="store_true", help="a new connection for every request")
    parser.add_argument("--timeout", type=float, default=5, help="seconds for a request")
    parser.add_argument("--ok", default="200-399", help="statuses that count as good")
    parser.add_argument("--most-seconds", type=float, default=60, help=f"cap, at most {MOST_SECONDS:g}")
    parser.add_argument("--most-requests", type=int, default=MOST_REQUESTS, help="cap")
    options = parser.parse_args()
    target = (options.url, options.host, options.path, options.method)
    request = Request.of(*target, options.header, options.body_bytes)
    low, _, high = options.ok.partition("-")
    client = Client(
        request,
        rate=options.rate,
        connections=options.connections,
        keepalive=not options.no_keepalive,
        timeout=options.timeout,
        good=range(int(low), int(high or low) + 1),
        most_seconds=min(options.most_seconds, MOST_SECONDS),
        most_requests=min(options.most_requests, MOST_REQUESTS),
    )
    client.run()


if __name__ == "__main__":
    main()
