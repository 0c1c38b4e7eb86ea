"""Listeners that the proxy could not open: they are left out, so that it serves the others, and tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from lbgen.base.backoff import Backoff
from lbgen.base.errors import ApplyFailed
from lbgen.base.logs import log
from lbgen.daemon.deployment import Deployment
from lbgen.daemon.template_rollback import Attempt
from lbgen.model import Listener
from lbgen.proxies import sockets
from lbgen.proxies.proxy import Proxy
from lbgen.proxies.sockets import Socket, every
from lbgen.render.renderer import Files

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0  # seconds until a listener that was left out is tried again


class ClosedListeners:
    """Which listeners one target leaves out."""

    def __init__(
        self,
        target: str,
        proxy: Proxy,
        unservable: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            target: its name, for the log.
            unservable: listeners that this proxy cannot serve at all, by name, and why; they are left out already.
        """
        self.reasons: dict[str, str] = {}  # by the listener's name
        self._target, self._proxy, self._unservable = target, proxy, unservable or {}
        self._retry = Backoff(FIRST_RETRY, LONGEST_RETRY, clock)
        self._told: dict[str, str] = {}

    def begin(self) -> None:
        """Start an attempt."""
        self._retry.arrive()

    def due(self) -> float | None:
        """Return when, by the clock, they are to be tried again, or None."""
        return self._retry.due

    @property
    def failure(self) -> str:
        """Why not all listeners are served; empty if they are."""
        reasons = {**self._unservable, **self.reasons}
        return "; ".join(f"listener {name}: {reasons[name]}" for name in sorted(reasons))

    def render(self, attempt: Attempt, deployment: Deployment) -> Files:
        """Return the files without the listeners that cannot be opened.

        Raises:
            TemplateError: the templates fail.
            ApplyFailed: what is left would be nothing, or a socket that belongs to no listener cannot be opened.
        """
        desired, listeners = attempt.render(), attempt.model.listeners
        deployment.refresh(attempt.fixed)
        self._try(desired, deployment, listeners)
        kept = [listener.name for listener in listeners if listener.name not in self.reasons]
        if len(kept) == len(listeners):
            return desired
        files = replace(attempt, model=attempt.model.only(frozenset(kept))).render()
        if not self._listening(files, listeners):
            raise ApplyFailed(self.failure)
        return files

    def report(self) -> bool:
        """Tell what has changed; return whether leaving some out counts as one more failure: once for each trial."""
        before, self._told = self._told, {**self._unservable, **self.reasons}
        if opened := ", ".join(sorted(before.keys() - self._told.keys())):
            log.info("listeners_opened", target=self._target, listeners=opened)
        if not self.reasons:
            self._retry.reset()
            return self._told != before and bool(self._told)
        if self._retry.remaining():
            return self._told != before
        pause, names = self._retry.pause(), ", ".join(sorted(self.reasons))
        if self._told != before:
            log.error("listeners_left_out", target=self._target, listeners=names, reason=self.failure, retry_in_s=pause)
        return True

    def _try(self, desired: Files, deployment: Deployment, listeners: Iterable[Listener]) -> None:
        """Find out which listeners cannot be opened; while nobody knows which sockets the proxy has, as before."""
        if not deployment.knows_sockets:
            return
        running = deployment.running
        own = {port for each in self._proxy.sockets(running) for port in _ports(each)} if running else set()
        wanted = [each for each in self._proxy.sockets(desired) if not own.intersection(_ports(each)[-1:])]
        names = {socket: listener.name for listener in listeners for socket in _sockets(listener)}
        failed = sockets.closed(wanted)
        if not deployment.knows_sockets:  # it has been started meanwhile, and has them itself
            return
        if others := [why for where, why in failed.items() if where not in names]:
            raise ApplyFailed("; ".join(others))
        self.reasons = {names[where]: why for where, why in failed.items()}

    def _listening(self, files: Files, listeners: Iterable[Listener]) -> bool:
        return any(self._proxy.sockets(files) & _sockets(listener) for listener in listeners)


def _ports(socket: Socket) -> list[tuple[str, int, bool]]:
    """Return the ports that are its proxy's own, by family, its own family last.

    One of IPv6 for all addresses may have been for IPv4, too.
    """
    families = ["4", "6"] if socket.address == "::" else ["6" if ":" in socket.address else "4"]
    return [(family, socket.port, socket.udp) for family in families]


def _sockets(listener: Listener) -> frozenset[Socket]:
    """Return where a proxy may listen for it: of all addresses those of each family."""
    address = "*" if listener.address == "0.0.0.0" else listener.address
    return every(Socket(address, listener.port, listener.protocol == "udp"))
