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
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lbgen.base.errors import ApplyFailed, ProxyUnreachable, VerifyFailed
from lbgen.proxies import plan
from lbgen.proxies.nginx import processes
from lbgen.proxies.nginx.error_log import ErrorLog
from lbgen.proxies.plan import Plan
from lbgen.proxies.proxy import Proxy
from lbgen.render.files import Files

PATH = "/__lbgen"  # where it answers its generation
VERIFY_TIMEOUT = 15.0  # seconds; a reload of 10,000 servers takes 0.6 s
STEADY = 0.25  # seconds without an old answer that prove a reload where the workers cannot be seen
PATIENCE = 2.0  # with a master that has just been started
_SERVER = re.compile(r"^    server \{\n(?=(?:        listen .*\n)*        server_name (.*);)", re.MULTILINE)


class Hup:
    """Reloads by HUP to a master."""

    def __init__(self, master: Callable[[], int]) -> None:
        """
        Args:
            master: returns its pid, surely that of an Nginx (HUP ends other programs); raises ProxyUnreachable.
        """
        self._master = master

    def reload(self) -> None:
        """Send the signal; the outcome is for `Nginx.verify` to find."""
        try:
            os.kill(self._patiently(), signal.SIGHUP)
        except OSError as error:
            raise ProxyUnreachable(f"Nginx cannot be sent HUP: {error}") from error

    def _patiently(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._master()
            except ProxyUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


class Nginx(Proxy):
    """One Nginx: reload it, and ask what it serves."""

    def __init__(
        self, probe: tuple[str, int], error_log: Path, reload: Callable[[], None], master: Callable[[], int]
    ) -> None:
        """
        Args:
            probe: address and port where it answers its generation.
            error_log: as in the rendered configuration.
            reload: has Nginx load the files from disk.
            master: returns the master's pid; raises ProxyUnreachable if it cannot be seen.
        """
        self.probe, self._log = probe, ErrorLog(error_log)
        self._reload, self._master = reload, master
        self._old: frozenset[int] | None = frozenset()  # workers that have to stop accepting; None: they are not seen

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return the least that brings it from one to the other; the reason names upstreams and servers."""
        return plan.between(running and _flat(running), _flat(desired))

    def write(self, output: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Replace files; whatever the error log says from then on is about them."""
        if texts:
            self._log.mark()
            self._old = frozenset()
        super().write(output, texts, remove)

    def reload(self, running: Files | None, desired: Files) -> None:  # noqa: ARG002
        """Have Nginx load the files from disk; raise ProxyUnreachable if it does not run."""
        self._log.mark()
        self._old = None
        with contextlib.suppress(ProxyUnreachable):
            self._old = processes.workers(self._master())
        self._reload()

    def generation(self) -> str:
        """Return the generation that a new connection is served by; empty if it is not one of lbgen's.

        Raises:
            ProxyUnreachable: nobody listens there.
        """
        host, port = self.probe
        connection = http.client.HTTPConnection(host, port, timeout=2.0)
        try:
            connection.request("GET", PATH, headers={"Connection": "close"})
            with connection.getresponse() as response:
                found = re.fullmatch(rb"([0-9a-f]{12})\n", response.read(100))
        except http.client.HTTPException:  # whoever that is
            return ""
        except OSError as error:
            raise ProxyUnreachable(
                f"{host}:{port}: Nginx does not answer there: {error.strerror or error}; see targets.NAME.probe"
            ) from error
        finally:
            connection.close()
        return found[1].decode() if found else ""

    def verify(self, generation: str) -> None:
        """Wait until Nginx serves this generation, and no other one.

        Raises:
            ApplyFailed: it gave up on the new files.
            VerifyFailed: it still serves another generation after VERIFY_TIMEOUT.
        """
        deadline = time.monotonic() + VERIFY_TIMEOUT
        since = 0.0  # when the answers became new, as far as is known
        while True:
            if refusal := self._log.refusal():
                raise ApplyFailed(f"Nginx did not take the new configuration:\n{refusal}")
            # Asked before the probe: the answer then is that of the workers which are left.
            alone = self._old is not None and not processes.accepting(self._old)
            served = self._served()
            now = time.monotonic()
            since = (since or now) if served == generation else 0.0
            if since and (alone or (self._old is None and now - since >= STEADY)):
                return
            if now > deadline:
                raise VerifyFailed(self._unproven(generation, served))
            time.sleep(0.01)

    def _served(self) -> str:
        try:
            return self.generation() or "none"
        except ProxyUnreachable as error:  # for a moment while it starts
            return str(error)

    def _unproven(self, generation: str, served: str) -> str:
        host, port = self.probe
        if served == "none":
            served = (
                f"{host}:{port} answers, but not as Nginx would that reads these files: another program may have this "
                "port; give each Nginx its own with targets.NAME.probe"
            )
        elif served == generation:
            served = "some connections still get an older one"
        return "\n".join([f"Nginx does not serve generation {generation}: {served}", *self._log.said()])


def _flat(files: Files) -> Files:
    """Return the files with the blocks inside of ``http {}`` and ``stream {}`` as what is not indented."""
    texts = {}
    for name, text in files.texts.items():
        lines = [line.removeprefix("    ") for line in _SERVER.sub(r"    server \1 {\n", text).splitlines()]
        texts[name] = "\n".join(line.removesuffix(" {") for line in lines if line != "}")
    return Files(texts, files.generation)
