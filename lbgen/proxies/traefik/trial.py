"""Tries a configuration on a Traefik that is started for nothing else, and reads what it makes of it.

It listens on ports of 127.0.0.1 that the kernel chooses, is given the files in a directory of their own, and is ended
as soon as it has spoken: 0.5 s for a hundred services, 3 s for ten thousand (measured, 3.7).
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lbgen.base import documents
from lbgen.base.errors import ApplyFailed, CheckFailed, CheckTimedOut, CheckUnavailable, ProxyUnreachable
from lbgen.proxies import check_command
from lbgen.proxies.traefik.api import Api
from lbgen.proxies.traefik.apply import STATIC
from lbgen.proxies.wait import looks
from lbgen.render.outputs import NAME, USERS
from lbgen.render.renderer import Files

ATTEMPTS = 3  # at a port that nobody else takes meanwhile
KEPT = ("entryPoints", "serversTransport", "tcpServersTransport")  # of the static file: nothing that asks others
_USERS_FILE = re.compile(rf'usersFile: "[^"\n]*/({re.escape(USERS.partition(NAME)[0])}[^"/\n]+)"')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"^\S+ (?:ERR|FTL) (.*)$", re.MULTILINE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(files: Files, binary: str, timeout: float | None = None, free_port: Callable[[], int] = _free_port) -> None:
    """Try the files.

    Args:
        timeout: seconds; None: as long as every check may take.
        free_port: returns a port of 127.0.0.1 that nobody uses.
    Raises:
        CheckFailed: Traefik refuses them, or some of them: its own words.
        CheckTimedOut: it has not read them in time.
        CheckUnavailable: it could not be asked.
    """
    seconds = check_command.timeout() if timeout is None else timeout
    dynamic = Files({name: text for name, text in files.texts.items() if name != STATIC}, files.generation)
    with check_command.staged(dynamic, edit=_staged_users) as stage:
        for _ in range(ATTEMPTS):
            trial = Trial(files, binary, stage, free_port())
            try:
                if trial.run(seconds):
                    return
            except OSError as error:
                raise CheckUnavailable(f"{binary}: cannot check the files: {error}") from error
    raise CheckUnavailable(f"{binary}: cannot check the files: no port of 127.0.0.1 stays free")


def _staged_users(text: str, stage: Path) -> str:
    """Have it read the files of users that are staged: those in their place may be of before, or not there yet."""
    return _USERS_FILE.sub(lambda found: f'usersFile: "{stage}/{found[1]}"', text)


@dataclass(frozen=True, slots=True)
class Trial:
    """One Traefik on staged files, with its API at a port."""

    files: Files
    binary: str
    stage: Path
    port: int

    def run(self, timeout: float) -> bool:
        """Start Traefik and read what it says; return False if another program has the port now."""
        (self.stage / STATIC).write_text(json.dumps(_static(self.files, self.stage, self.port)), encoding="utf-8")
        # Nothing of lbgen's environment: a file that asks for it is to get nothing.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.stage)}
        with self._log.open("wb") as output:
            process = subprocess.Popen(
                [self.binary, f"--configFile={self.stage / STATIC}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.stage,
                start_new_session=True,
            )
        try:
            return self._verdict(process, timeout)
        finally:
            process.kill()
            process.wait()

    @property
    def _log(self) -> Path:
        return self.stage / "log"

    def _verdict(self, process: subprocess.Popen[bytes], timeout: float) -> bool:
        for last in looks(timeout):
            if self._accepted():
                return True
            ended, words = process.poll() is not None, self._said()
            if ended and "address already in use" in words:
                break
            # Once it has complained about a provider, or ended, it will not read the files any more.
            if ended or "Cannot start the provider" in words:
                raise CheckFailed((self.binary,), words or f"exit status {process.returncode} without a message")
            if last:
                raise CheckTimedOut((self.binary,), timeout, words)
        return False

    def _accepted(self) -> bool:
        """Tell whether it serves the files, all of them; raise CheckFailed if only some."""
        api = Api("127.0.0.1", self.port)
        try:
            if api.generation("file") != self.files.generation:
                return False
            refused = api.refused("file", lambda _: True)
        except ProxyUnreachable:
            return False
        if refused:
            raise CheckFailed((self.binary,), "\n".join(refused))
        return True

    def _said(self) -> str:
        """Return Traefik's own words, without time, colour and the stage's path."""
        text = _COLOUR.sub("", self._log.read_text(errors="replace")).replace(f"{self.stage}/", "").strip()
        return "\n".join(_ERROR.findall(text)) or text


def _static(files: Files, stage: Path, port: int) -> dict[str, object]:
    """Return a static configuration with the entry points of the real one, on ports that nobody uses."""
    document = documents.parse(files.texts.get(STATIC) or "{}", STATIC, ApplyFailed)
    kept: dict[str, object] = {}
    if isinstance(document, dict):
        kept = {key: document[key] for key in KEPT if document.get(key)}
    real = kept.get("entryPoints")
    points: dict[str, object] = {}
    for name, point in (real if isinstance(real, dict) else {}).items():
        options = dict(point) if isinstance(point, dict) else {}
        udp = "/udp" if str(options.get("address", "")).lower().endswith("/udp") else ""
        points[name] = {**options, "address": f"127.0.0.1:0{udp}"}
    return {
        **kept,
        "entryPoints": {**points, "traefik": {"address": f"127.0.0.1:{port}"}},
        "providers": {"file": {"directory": str(stage / "dynamic"), "watch": False}},
        "api": {"insecure": True, "dashboard": False},
        "log": {"level": "ERROR"},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
