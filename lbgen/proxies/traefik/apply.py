"""Gives Traefik a configuration, over HTTP or by a directory that it watches, and proves by its API that it is live.

Traefik applies every change live, without a reload: connections stay open. But it forgets which servers were down and
counts all of them as up until their next check (seen on 3.7); so what changes nothing is not published.
"""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lbgen.base import documents
from lbgen.base.directories import make_directory
from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.base.fingerprint import identity
from lbgen.base.logs import log
from lbgen.proxies import disk
from lbgen.proxies.plan import Method, Plan
from lbgen.proxies.proxy import ByServer, Proxy, Seen
from lbgen.proxies.sockets import Socket, every
from lbgen.proxies.traefik import placeholder_certificate, plan
from lbgen.proxies.traefik.api import MARKER_HEADER, Fleet
from lbgen.proxies.traefik.feed import Document, Feed
from lbgen.proxies.traefik.trust import Trust, differing
from lbgen.proxies.wait import looks, patiently
from lbgen.render.renderer import Files

STATIC, DYNAMIC = "traefik.yml", "dynamic/lbgen.yml"
VERIFY_TIMEOUT = 15.0  # seconds; a change of 10,000 servers takes Traefik four
PATIENCE = 2.0  # with a Traefik that does not answer
SHOWN = 5  # refusals in a message
_GENERATION = re.compile(rf'"{MARKER_HEADER}": "([0-9a-f]+)"')


def in_order(texts: Mapping[str, str]) -> dict[str, str]:
    """Return files in the order to write them: what Traefik is given last names the others, which are there then."""
    return dict(sorted(texts.items(), key=lambda item: item[0] == DYNAMIC))


class Traefik(Proxy):
    """One Traefik, or several that are fed the same."""

    takes = Method.PUBLISH

    def __init__(
        self,
        api: Fleet | None,
        feed: Feed | None,
        names: Callable[[], Sequence[str]],
        restart: Callable[[], None] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """
        Args:
            api: None: that it came back for more has to do for a proof.
            feed: what it is handed over HTTP; None: it watches the directory.
            names: the files with fixed names that are rendered for it.
            restart: starts it anew, where lbgen runs it.
            patience: seconds to wait for an API that does not answer, before it counts as not running.
        """
        self.feed = feed
        self._api, self._names, self._restart, self._patience = api, names, restart, patience
        self._provider = "http" if feed else "file"
        self._mistrusted: frozenset[str] = frozenset()  # entry points that believe others than they should; told
        self._missing: frozenset[str] | None = None  # entry points that it does not have; None: not looked at yet
        self._text = ""  # what it was last given
        self._directory = Path()  # what it may watch
        self._watched: tuple[int, ...] | None = None  # which directory that was at its start

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return whether the files have changed."""
        return plan.between(running, desired)

    def write(self, output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Replace files, and hand out what was written: what is on disk is what Traefik gets, either way."""
        try:
            disk.write(output, in_order(texts), remove, stage=output)
        except ApplyFailed as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EXDEV, errno.EBUSY):
                raise ApplyFailed(
                    f"{error}; mount {output} as a whole where Traefik runs, no single file or directory in it: a file "
                    "that is overwritten in place is read half-written"
                ) from error
            raise
        self._hand_out(texts)

    def ready(self, output: Path) -> None:
        """Hand out the last good document, so that a Traefik that starts now need not wait for Docker."""
        self._directory = (output / DYNAMIC).parent
        make_directory(self._directory)
        self._watched = self._watched or identity(self._directory)
        placeholder_certificate.ensure(output)
        texts = disk.read(output, disk.names(output, self._names()))
        if disk.generation_on_disk(texts, _generation(texts)):
            self._hand_out(texts)

    def cut_off(self) -> list[str]:
        """Return the directory that it watches if that is another one by now: it does not notice."""
        lost = self._restart and not self.feed and identity(self._directory) != self._watched
        return [str(self._directory)] if lost else []

    def reconnect(self, pid: int, output: Path, texts: Mapping[str, str]) -> None:  # noqa: ARG002
        """Start it anew, which is the only way to have it watch another directory; fed over HTTP it needs none."""
        log.info("proxy_restarted", proxy="traefik", reason="the directory that it watched was removed")
        self._watched = identity(self._directory)
        if self._restart:
            self._restart()

    def reload(self, running: Files | None, desired: Files) -> None:
        """Check that it has the entry points; the files themselves it takes by itself.

        Raises:
            ProxyUnreachable: it does not run, or has no API there.
        """
        before = running.texts.get(STATIC) if running else None
        wanted = desired.texts.get(STATIC, "")
        if not self._api or (self._missing == frozenset() and before == wanted):
            return
        listening = patiently(self._api.entry_points, self._patience, 0.05)
        needed = entry_points(wanted)
        missing = frozenset(needed) - set(listening)
        if self._restart:
            missing = frozenset()  # it gets them
            if before not in (None, wanted) or any(listening.get(name) != needed[name] for name in needed):
                reason = f"{STATIC} has changed, which it reads at its start"
                log.info("proxy_restarted", proxy="traefik", reason=reason)
                self._restart()
        elif missing and missing != self._missing:
            log.error(
                "entry_points_missing",
                entry_points=", ".join(sorted(missing)),
                effect="their routes are not served; all others are",
                remedy=f"start Traefik anew with the entry points of the rendered {STATIC}",
            )
        self._missing = missing
        if not self._restart:
            self._tell_whom_it_believes(wanted, self._api)

    def _tell_whom_it_believes(self, static: str, api: Fleet) -> None:
        """Say once which entry points have other load balancers: what lbgen renders for them closes what it has to."""
        wanted = {name: Trust.of(point) for name, point in _points(static).items()}
        differ = differing(wanted, api.trust())
        if differ - self._mistrusted:
            log.error(
                "trusted_proxies_differ",
                entry_points=", ".join(sorted(differ)),
                effect="who comes by a load balancer is refused where allow-ip or deny-ip judges clients",
                remedy=f"start Traefik anew with forwardedHeaders and proxyProtocol of the rendered {STATIC}",
            )
        self._mistrusted = differ

    def sockets(self, files: Files) -> frozenset[Socket]:
        """Return where its entry points are. Whatever their family, those for all addresses have both."""
        points = (address.partition("/") for address in entry_points(files.texts.get(STATIC, "")).values())
        found = (Socket.of(address.replace("[::]", "*"), udp=kind == "udp") for address, _, kind in points)
        return frozenset().union(*(every(socket) for socket in found if socket))

    def generation(self) -> str:
        """Return the generation it serves; without an API, the last one it came back from.

        Raises:
            ProxyUnreachable: its API does not answer.
        """
        if self._api:
            return self._api.generation(self._provider)
        return self.feed.taken if self.feed else ""

    def seen(self) -> ByServer:
        """Return how it sees the servers that it checks."""
        with contextlib.suppress(ProxyUnreachable):
            statuses = self._api.statuses(self._provider) if self._api else {}
            return {(name, urlsplit(url).netloc): Seen(status.lower()) for (name, url), status in statuses.items()}
        return {}

    def verify(self, generation: str) -> None:
        """Wait until it serves this generation, and check that it took all of it.

        Raises:
            VerifyFailed: it still serves another one after VERIFY_TIMEOUT, or has refused a router or a service.
            ProxyUnreachable: it does not run, or has no API there.
        """
        served, began = "", time.monotonic()
        answered = began
        for last in looks(VERIFY_TIMEOUT, 0.01, 0.05):
            try:
                served, answered = self.generation(), time.monotonic()
            except ProxyUnreachable:
                if time.monotonic() > answered + self._patience:
                    raise
            if served == generation:
                break
            self.check_up()
            if last:
                raise self._not_taken(generation, served, began)
        refused = self._api.refused(self._provider, self._is_ours) if self._api else []
        if refused:
            more = f"\nand {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
            raise VerifyFailed("Traefik did not take all of it:\n" + "\n".join(refused[:SHOWN]) + more)

    def _hand_out(self, texts: Mapping[str, str]) -> None:
        if DYNAMIC in texts:
            self._text = texts[DYNAMIC]
            if self.feed:
                self.feed.publish(Document(_generation(texts), self._text.encode()))

    def _is_ours(self, item: Mapping[str, Any]) -> bool:
        """Tell what lbgen gave it from others' items, and leave out what has no entry point: that is told already.

        Others' items may have the same provider: a file of the operator's beside lbgen's.
        """
        name = str(item["name"]).removesuffix(f"@{self._provider}")
        nowhere = bool(self._missing) and set(item.get("entryPoints", ())) <= (self._missing or frozenset())
        return f'"{name}":' in self._text and not (nowhere and "entryPoints" in item)

    def _not_taken(self, generation: str, served: str, began: float) -> ApplyFailed:
        if not self.feed:
            why = "it watches another directory, or its log says why it does not read this one"
        elif self.feed.asked >= began:
            why = "it asked for it; its log says why it does not take it"
        elif not self._api:
            return ProxyUnreachable("no Traefik has asked for its configuration: see providers.http.endpoint there")
        else:
            why = "it did not ask for it: see providers.http.endpoint there"
        return VerifyFailed(f"Traefik does not serve generation {generation} (found: {served or 'none'}); {why}")


def entry_points(static: str) -> dict[str, str]:
    """Return the entry points of a static configuration and where they listen."""
    return {name: str(point.get("address", "")) for name, point in _points(static).items()}


def _points(static: str) -> dict[str, Mapping[str, Any]]:
    document = documents.parse(static, STATIC, ApplyFailed) if static else {}
    points = document.get("entryPoints") if isinstance(document, dict) else None
    return {str(name): point or {} for name, point in points.items()} if isinstance(points, dict) else {}


def _generation(texts: Mapping[str, str]) -> str:
    match = _GENERATION.search(texts.get(DYNAMIC, ""))
    return match[1] if match else ""
