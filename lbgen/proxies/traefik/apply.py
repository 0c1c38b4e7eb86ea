"""Gives Traefik a configuration, over HTTP or by a directory that it watches, and proves by its API that it is live.

Every change is live in Traefik, never a reload: connections stay open. But it forgets which servers were down, takes
all of them for well, and finds out anew (seen on 3.7); so what changes nothing is not published.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lbgen.base import documents
from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.base.logs import log
from lbgen.proxies import disk, plan
from lbgen.proxies.plan import Method, Plan, Reload
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.traefik import placeholder_certificate
from lbgen.proxies.traefik.api import MARKER_HEADER, Fleet
from lbgen.proxies.traefik.feed import Document, Feed
from lbgen.render.files import Files

STATIC, DYNAMIC = "traefik.yml", "dynamic/lbgen.yml"
VERIFY_TIMEOUT = 15.0  # seconds; a change of 10,000 servers takes Traefik four
PATIENCE = 2.0  # with a Traefik that does not answer
SHOWN = 5  # refusals in a message
_GENERATION = re.compile(rf'"{MARKER_HEADER}": "([0-9a-f]+)"')
_HEADING = re.compile(r'^(?: {4}"(.+)":|(\w+):| {2}(\w+):)', re.MULTILINE)


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
            restart: starts it anew, where that is our business.
            patience: seconds to wait for an API that does not answer, before it counts as not running.
        """
        self.feed = feed
        self._api, self._names, self._restart, self._patience = api, names, restart, patience
        self._provider = "http" if feed else "file"
        self._missing: frozenset[str] = frozenset()  # entry points that it does not have
        self._matched = False  # whether its entry points have been looked at
        self._text = ""  # what it was last given

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return whether it has to be given the files: a change costs it nothing, so two need no time in between."""
        step = plan.between(running, desired)
        if isinstance(step, Reload) and running:
            return Reload("; ".join(_changes(running, desired)) or step.reason, step.kind, spaced=False)
        return replace(step, spaced=False) if isinstance(step, Reload) else step

    def write(self, output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Replace files, and hand out what was written: what is on disk is what Traefik gets, either way."""
        try:
            disk.write(output, texts, remove, stage=output)
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
        (output / DYNAMIC).parent.mkdir(exist_ok=True)
        placeholder_certificate.ensure(output)
        texts = disk.read(output, disk.names(output, self._names()))
        if disk.generation_on_disk(texts, _generation(texts)):
            self._hand_out(texts)

    def reload(self, running: Files | None, desired: Files) -> None:
        """See that it has the entry points; the files themselves it takes by itself.

        Raises:
            ProxyUnreachable: it does not run, or has no API there.
        """
        before = running.texts.get(STATIC) if running else None
        wanted = desired.texts.get(STATIC, "")
        if not self._api or (self._matched and not self._missing and before == wanted):
            return
        listening = self._patiently(self._api.entry_points)
        needed = entry_points(wanted)
        self._matched = True
        if self._restart:
            if (before is not None and before != wanted) or any(
                listening.get(name) != address for name, address in needed.items()
            ):
                log.info(
                    "proxy_restarted", proxy="traefik", reason=f"{STATIC} has changed, which it reads at its start"
                )
                self._restart()
            return
        missing = frozenset(needed) - set(listening)
        if missing and missing != self._missing:
            log.error(
                "entry_points_missing",
                entry_points=", ".join(sorted(missing)),
                effect="their routes are not served; all others are",
                remedy=f"start Traefik anew with the entry points of the rendered {STATIC}",
            )
        self._missing = missing

    def generation(self) -> str:
        """Return the generation it serves; without an API, the last one it came back from.

        Raises:
            ProxyUnreachable: its API does not answer.
        """
        if self._api:
            return self._api.generation(self._provider)
        return self.feed.taken if self.feed else ""

    def verify(self, generation: str) -> None:
        """Wait until it serves this generation, and see that it took all of it.

        Raises:
            VerifyFailed: it still serves another one after VERIFY_TIMEOUT, or has refused a router or a service.
            ProxyUnreachable: it does not run, or has no API there.
        """
        began = time.monotonic()
        served, pause, answered = "", 0.01, began
        while served != generation:
            try:
                served = self.generation()
                answered = time.monotonic()
            except ProxyUnreachable:
                if time.monotonic() > answered + self._patience:
                    raise
            if served != generation:
                if time.monotonic() > began + VERIFY_TIMEOUT:
                    raise self._not_taken(generation, served, began)
                time.sleep(pause)
                pause = min(pause * 1.2, 0.05)
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
        """Tell somebody else's from what was given to it, and leave out what has no entry point: that is told already.

        What is another's may have the same provider: a file of the operator's beside ours.
        """
        name = str(item["name"]).removesuffix(f"@{self._provider}")
        nowhere = bool(self._missing) and set(item.get("entryPoints", ())) <= self._missing
        return f'"{name}":' in self._text and not (nowhere and "entryPoints" in item)

    def _patiently(self, ask: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Give a Traefik that has just been started a moment to answer."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return ask()
            except ProxyUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

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
    document = documents.parse(static, STATIC, ApplyFailed) if static else {}
    found = document.get("entryPoints") if isinstance(document, dict) else None
    points = found if isinstance(found, dict) else {}
    return {str(name): str((point or {}).get("address", "")) for name, point in points.items()}


def _generation(texts: Mapping[str, str]) -> str:
    found = _GENERATION.search(texts.get(DYNAMIC, ""))
    return found[1] if found else ""


def _changes(running: Files, desired: Files) -> list[str]:
    """Say which services, routers and so on differ."""
    changes = []
    for name in sorted({*running.texts, *desired.texts}):
        old = _sections(running.texts.get(name, "").replace(running.generation, ""))
        new = _sections(desired.texts.get(name, "").replace(desired.generation, ""))
        differing = [heading for heading in {**old, **new} if old.get(heading) != new.get(heading)]
        if differing:
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            changes.append(f"{name}: {', '.join(differing[:3])}{more}")
    return changes


def _sections(text: str) -> dict[str, str]:
    """Return each named part (``http services shop``) and its text."""
    found: dict[str, str] = {}
    top = inner = ""
    matches = list(_HEADING.finditer(text))
    for match, following in zip(matches, [*matches[1:], None], strict=True):
        name, first, second = match.groups()
        top, inner = (first, "") if first else (top, second or inner)
        heading = " ".join(part for part in (top, inner, name) if part)
        found[heading] = found.get(heading, "") + text[match.start() : following.start() if following else None]
    return found
