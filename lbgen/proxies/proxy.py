"""What a target needs of a proxy, and what most proxies have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lbgen.base.errors import ApplyFailed, ProxyUnreachable
from lbgen.proxies import disk, plan
from lbgen.proxies.plan import Live, Method, Plan
from lbgen.proxies.sockets import Socket
from lbgen.render.renderer import Files


@dataclass(frozen=True, slots=True)
class Workers:
    """How many worker processes a proxy has."""

    serving: int  # take new connections
    old: int  # have been replaced by a reload, and only finish the connections that they have


@dataclass(frozen=True, slots=True)
class Seen:
    """How the proxy itself sees one server."""

    state: str  # in its own words, in lower case: "up", "down", "drain", "maint"
    sessions: int | None = None  # that it has with it now; None: it does not count them


ByServer = Mapping[tuple[str, str], Seen]  # by backend and by the server's name, or its ADDRESS:PORT


class Proxy(ABC):
    """One running proxy. What is not abstract holds for a proxy that only ever takes whole files."""

    takes = Method.RELOAD  # how new files reach it: RELOAD or PUBLISH
    down: Callable[[], str] = staticmethod(lambda: "")  # why it does not run, where lbgen is to run it; else empty

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return the smallest change from one set of files to the other; None: not known what it runs."""
        return plan.between(running, desired)

    def meanwhile(self, running: Files, desired: Files) -> Files:  # noqa: ARG002
        """Return the running files with what needs no reload already as in ``desired``."""
        return running

    def change(self, live: Live, generation: str) -> None:
        """Make a live change and prove it; raise ApplyFailed where only a reload will help."""
        raise ApplyFailed(f"generation {generation}: this proxy changes by whole files only, not by: {live.summary}")

    def tidy(self) -> bool:
        """Finish what earlier changes left to do; return whether something is still left."""
        return False

    def write(self, output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Replace files in the output directory, then remove some; raise ApplyFailed with all of them as they were."""
        disk.write(output, texts, remove)

    def ready(self, output: Path) -> None:  # noqa: B027
        """Make what the rendered files refer to besides each other."""

    def sockets(self, files: Files) -> frozenset[Socket]:  # noqa: ARG002
        """Return where it listens with these files, as far as that can be told."""
        return frozenset()

    def workers(self) -> Workers | None:
        """Return its workers; None: it has none that outlive a reload, or they cannot be seen."""
        return None

    def seen(self) -> ByServer:
        """Return how it sees its servers, as far as it tells; nothing while it does not answer. Safe in any thread."""
        return {}

    def cut_off(self) -> list[str]:
        """Return the running proxy's sockets and pid files that have disappeared; cheap to ask."""
        return []

    def reconnect(self, pid: int, output: Path, texts: Mapping[str, str]) -> None:  # noqa: B027
        """Have the running proxy make those files again; raise ApplyFailed.

        Args:
            pid: of its master.
            texts: the files in the output directory.
        """

    @abstractmethod
    def reload(self, running: Files | None, desired: Files) -> None:
        """Make it load the files from disk; raise ApplyFailed, or ProxyUnreachable if it does not run."""

    @abstractmethod
    def generation(self) -> str:
        """Return the generation it serves, empty if none of lbgen's; raise ProxyUnreachable."""

    @abstractmethod
    def verify(self, generation: str) -> None:
        """Wait until it serves the generation; raise VerifyFailed."""

    def check_up(self) -> None:
        """Raise ApplyFailed if it has ended, so that there is nothing to wait for."""
        if why := self.down():
            raise ApplyFailed(f"the proxy does not run: {why}")

    def served(self) -> str:
        """Return the generation it serves, for messages: "none", or why it cannot be asked."""
        try:
            return self.generation() or "none"
        except ProxyUnreachable as error:  # for a moment while it starts or changes its workers
            return str(error)
