"""Makes Nginx run new files, and asks it which generation it serves.

Facts (observed on 1.22 and 1.26): HUP never answers. If the new files cannot be loaded (a port in use, which no check
sees), the old workers go on and only the error log tells. If they can, old and new workers answer side by side for
about 100 ms, so the first new answer proves nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lbgen.base import directories
from lbgen.base.address import host_port
from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.proxies import disk
from lbgen.proxies.nginx import plan, processes, users_files
from lbgen.proxies.nginx.error_log import Excerpt, from_now
from lbgen.proxies.plan import Plan
from lbgen.proxies.proxy import Proxy, Workers
from lbgen.proxies.sockets import Socket
from lbgen.proxies.wait import looks
from lbgen.render.renderer import Files

PATH = "/__lbgen"  # where it answers its generation
VERIFY_TIMEOUT = 15.0  # seconds; a reload of 10,000 servers takes 0.6 s
STEADY = 0.25  # seconds without an old answer that prove a reload where the workers cannot be seen
_LISTEN = re.compile(r"^[ \t]+listen[ \t]+(\S+?)((?:[ \t][^;\n]*)?);", re.MULTILINE)
PATIENCE = 2.0  # with a master that has just been started


@dataclass(frozen=True, slots=True)
class Handover:
    """What the proof starts from that new workers have taken over."""

    log: Excerpt  # what was said since
    old: frozenset[int] | None = frozenset()  # workers that have to stop accepting; None: they are not seen


class Nginx(Proxy):
    """One Nginx: reload it, and ask what it serves."""

    def __init__(
        self,
        probe: tuple[str, int],
        error_log: Path,
        reload: Callable[[], None],
        master: Callable[[], int],
        pid_file: Path | None = None,
        account: str = "",
    ) -> None:
        """
        Args:
            probe: address and port where it answers its generation.
            error_log: as in the rendered configuration.
            reload: makes Nginx load the files from disk.
            master: returns the master's pid; raises ProxyUnreachable if it cannot be seen.
            pid_file: of a master that lbgen started.
            account: of its workers; empty: Nginx's default.
        """
        self._pid_file, self._account = pid_file, account
        self.probe, self._error_log, self._reload, self._master = probe, error_log, reload, master
        self._handover = Handover(from_now(error_log))

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return the smallest change from one set of files to the other."""
        return plan.between(running, desired)

    def write(self, output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Replace files; what the error log says from then on is about them."""
        if texts:
            self._handover = Handover(from_now(self._error_log))
        super().write(output, texts, remove)
        users_files.let_read(output, texts, self._account)

    def ready(self, output: Path) -> None:
        """Let workers on an account of their own through to files of users, which they read for every request."""
        if os.geteuid() == 0 and stat.S_IMODE(output.stat().st_mode) == directories.MODE:  # as lbgen makes it
            output.chmod(directories.MODE | stat.S_IXOTH)

    def cut_off(self) -> list[str]:
        """Return its pid file if that is missing."""
        return [str(self._pid_file)] if self._pid_file and not self._pid_file.exists() else []

    def reconnect(self, pid: int, output: Path, texts: Mapping[str, str]) -> None:  # noqa: ARG002
        """Write its pid file, which it writes itself only at its start, and have it open its log again."""
        if self._pid_file:
            disk.write(output, {self._pid_file.name: f"{pid}\n"})
        with contextlib.suppress(ProcessLookupError):  # it has just ended: it is started again then
            os.kill(pid, signal.SIGUSR1)

    def reload(self, running: Files | None, desired: Files) -> None:  # noqa: ARG002
        """Make Nginx load the files from disk; raise ProxyUnreachable if it does not run."""
        log, old = from_now(self._error_log), None
        with contextlib.suppress(ProxyUnreachable):
            old = processes.workers(self._master())
        self._handover = Handover(log, old)
        self._reload()

    def sockets(self, files: Files) -> frozenset[Socket]:
        """Return where its directives ``listen`` say."""
        lines = (match for text in files.texts.values() for match in _LISTEN.finditer(text))
        return frozenset(filter(None, (Socket.of(_address(line[1]), udp=_is_udp(line[2])) for line in lines)))

    def workers(self) -> Workers | None:
        """Return how many workers its master has; None: the master cannot be seen."""
        with contextlib.suppress(ProxyUnreachable):
            return processes.counted(self._master())
        return None

    def generation(self) -> str:
        """Return the generation that a new connection is served by; empty if it is not one of lbgen's.

        Raises:
            ProxyUnreachable: nothing listens there.
        """
        host, port = self.probe
        connection = http.client.HTTPConnection(host, port, timeout=2.0)
        try:
            connection.request("GET", PATH, headers={"Connection": "close"})
            with connection.getresponse() as response:
                match = re.fullmatch(rb"([0-9a-f]{12})\n", response.read(100))
        except http.client.HTTPException:  # not Nginx
            return ""
        except OSError as error:
            raise ProxyUnreachable(
                f"{host_port(host, port)}: Nginx does not answer there: {error.strerror or error}; "
                "see targets.NAME.probe"
            ) from error
        finally:
            connection.close()
        return match[1].decode() if match else ""

    def verify(self, generation: str) -> None:
        """Wait until Nginx serves this generation, and no other one.

        Raises:
            ApplyFailed: it gave up on the new files.
            VerifyFailed: it still serves another generation after VERIFY_TIMEOUT.
        """
        log, old = self._handover.log, self._handover.old
        since = 0.0  # when the answers became new, as far as is known
        for last in looks(VERIFY_TIMEOUT, 0.01):
            if refusal := log.refusal():
                raise ApplyFailed(f"Nginx did not take the new configuration:\n{refusal}")
            # Asked before the probe: the answer then is that of the workers which are left.
            alone = old is not None and not processes.accepting(old)
            served = self.served()
            now = time.monotonic()
            since = (since or now) if served == generation else 0.0
            self.check_up()
            if since and (alone or (old is None and now - since >= STEADY)):
                return
            if last:
                raise VerifyFailed(self._unproven(generation, served))

    def _unproven(self, generation: str, served: str) -> str:
        host, port = self.probe
        if served == "none":
            served = (
                f"{host_port(host, port)} answers, but not as Nginx would that reads these files: another program may "
                "have this port; give each Nginx its own with targets.NAME.probe"
            )
        elif served == generation:
            served = "some connections still get an older one"
        return "\n".join([f"Nginx does not serve generation {generation}: {served}", *self._handover.log.said()])


def _is_udp(words: str) -> bool:
    return not {"udp", "quic"}.isdisjoint(words.split())


def _address(listen: str) -> str:
    """Return ``80`` as ``:80``, what has an address as it is."""
    return f":{listen}" if listen.isdecimal() else listen
