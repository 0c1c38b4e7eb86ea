"""The `hosts` source: several engines that are in no Swarm, each followed by itself, as one snapshot.

A host that does not answer loses nothing: its facts stay, its node says "unreachable", and the others go on.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, UnexpectedErrors
from lbgen.snapshot import Snapshot
from lbgen.source import PartState, diff
from lbgen.source.engine.endpoints import resolve, risk
from lbgen.source.engine.schedule import Pace
from lbgen.source.hosts.follower import TLS_SETTING, HostFollower, Needs, Store
from lbgen.source.hosts.grouping import Seniority, merged
from lbgen.source.hosts.host import Host
from lbgen.source.mailbox import Closed, Mailbox

UNREACHABLE = "unreachable"  # state of a node whose host does not answer
AT_ONCE = 16  # hosts that are asked at a time


class HostsSource:
    """A `Source` of the containers of several hosts."""

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        store: Callable[[str], Store] | None = None,
        pace: Pace = Pace(),  # noqa: B008 -- frozen
        rng: random.Random | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """Contact nobody yet.

        Args:
            store: gives the place where a host's last facts are kept; None: they are not.
        Raises:
            SourceError: an endpoint's text has no known form.
        """
        for host in hosts:
            if not host.endpoint.startswith("context:"):
                resolve(host.endpoint, host.tls, environ)
        self._mailbox, self._wall_clock, self._environ, self._pace = Mailbox(clock), wall_clock, environ, pace
        self._seniority = Seniority()
        self._doubles: Mapping[str, str] = {}  # name of a host -> that of the one whose engine it leads to as well
        needs = Needs(
            *(pace, rng or random.Random(), environ, clock, wall_clock, self._seniority),
            self._mailbox.tell,
            unexpected,
        )
        self.hosts = [HostFollower(host, needs, store(host.name) if store else None) for host in hosts]

    def take(self) -> Snapshot:
        """Return one complete snapshot; raise SourceError if a host does not answer, and nothing is known of it."""
        with ThreadPoolExecutor(min(AT_ONCE, len(self.hosts))) as pool:
            answers = list(pool.map(_answer_or_recall, self.hosts))
        if failures := [answer for answer in answers if isinstance(answer, SourceError)]:
            raise SourceError("; ".join(map(str, failures)))
        facts = [answer for answer in answers if isinstance(answer, Snapshot)]
        return self._successor(Snapshot(), merged(Snapshot(), facts, self._seniority), 1)

    def follow(self) -> Iterator[Snapshot]:
        """Yield a snapshot as soon as every host was asked, and one after each change, until `close`."""
        for each in self.hosts:
            each.recall()
            threading.Thread(target=each.run, name=f"lbgen-host-{each.host.name}", daemon=True).start()
        last = Snapshot()
        try:
            self._mailbox.wait_until(lambda: all(each.settled for each in self.hosts), 2 * self._pace.timeout)
            while True:
                number = self._listing(last)
                after = self._merged(last)
                if after is not last or number > last.listing:
                    last = self._successor(last, after, number)
                    yield last
                if self._mailbox.wait(math.inf).relist:
                    for each in self.hosts:
                        each.relist(last.listing + 1)
        except Closed:
            return

    def relist(self) -> None:
        """Ask every host for a new, independent listing; what they say is handed on even if nothing changed."""
        self._mailbox.relist()

    def close(self) -> None:
        """End `follow`, also while engines hang."""
        self._mailbox.close()
        for each in self.hosts:
            each.close()

    def states(self) -> tuple[PartState, ...]:
        """Return how following goes now."""
        members = tuple(self._state(each) for each in self.hosts)
        failing = [member for member in members if member.failing]
        modes = {member.mode for member in members if not member.failing}
        ages = [member.stream_age for member in members if member.stream_age is not None]
        return (
            PartState(
                "hosts",
                mode=modes.pop() if len(modes) == 1 else "polling" if modes else "none",
                endpoint=", ".join(each.host.endpoint for each in self.hosts),
                failing="; ".join(member.failing for member in failing),
                failing_since=min((member.failing_since or math.inf for member in failing), default=None),
                stream_age=max(ages, default=None),
                counts=_sums(members),
                members=members,
            ),
        )

    def risks(self) -> list[str]:
        """Return one line for each endpoint that is open to attack on the network path; ask no endpoint."""
        found = []
        for each in self.hosts:
            with suppress(SourceError):  # told where it is followed
                endpoint = resolve(each.host.endpoint, each.host.tls, self._environ)
                if why := risk(endpoint, setting=TLS_SETTING):
                    found.append(f"host {each.host.name}: {why}")
        return found

    def _listing(self, last: Snapshot) -> int:
        """Return the number of the last listing of all hosts that answer; those that do not lose nothing anyway."""
        numbers = [each.listed for each in self.hosts if each.reachable]
        return max(last.listing, min(numbers, default=1), 1)

    def _merged(self, last: Snapshot) -> Snapshot:
        facts, silent = {}, set()
        for each in self.hosts:
            if (own := each.facts) is not None:
                facts[each.host.name] = own if each.reachable else _unreachable(own)
                silent |= set() if each.reachable else {each.host.name}
        # Of two that lead to one engine the one that answers counts.
        doubles = _doubles({name: facts[name] for name in sorted(facts, key=silent.__contains__)})
        for name in doubles.keys() - self._doubles.keys():
            log.warning("host_left_out", error=_double(name, doubles[name]))
        self._doubles = doubles
        return merged(last, [own for name, own in facts.items() if name not in doubles], self._seniority)

    def _state(self, each: HostFollower) -> PartState:
        state, name = each.state(), each.host.name
        if name not in self._doubles or state.failing:
            return state
        return replace(state, failing=_double(name, self._doubles[name]), failing_since=None)

    def _successor(self, last: Snapshot, after: Snapshot, listing: int) -> Snapshot:
        now = self._wall_clock()
        causes = diff.between(last, after, now) if after is not last else ()
        return replace(after, taken_at=now, listing=listing, causes=causes)


def _answer_or_recall(host: HostFollower) -> Snapshot | SourceError:
    try:
        return host.read()
    except SourceError as error:
        if (known := host.recall()) is None:
            return error
        log.warning("source_failed", error=str(error), effect="what was known last stays in force")
        return _unreachable(known)


def _unreachable(facts: Snapshot) -> Snapshot:
    return replace(facts, nodes={id_: replace(node, state=UNREACHABLE) for id_, node in facts.nodes.items()})


def _doubles(facts: Mapping[str, Snapshot]) -> dict[str, str]:
    """Return the hosts that have a container of another's before them, and that one: both lead to one engine."""
    owners: dict[str, str] = {}
    doubles = {}
    for name, own in facts.items():
        first = next((owners[id_] for id_ in own.tasks if id_ in owners), "")
        if first:
            doubles[name] = first
        else:
            owners |= dict.fromkeys(own.tasks, name)
    return doubles


def _double(name: str, other: str) -> str:
    return f"host {name}: has the same containers as host {other}, so both endpoints lead to one engine: remove one"


def _sums(members: Sequence[PartState]) -> dict[str, int]:
    names = {name for member in members for name in member.counts}
    return {name: sum(member.counts.get(name, 0) for member in members) for name in sorted(names)}
