"""Has a Traefik that is started for nothing else read a configuration, and say what it makes of it.

It listens on ports of 127.0.0.1 that the kernel chooses, is given the files in a directory of their own, and is ended
as soon as it has spoken: 0.5 s for a hundred services, 3 s for ten thousand (measured, 3.7).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lbgen.base import documents
from lbgen.base.errors import ApplyFailed, CheckFailed, CheckUnavailable, ProxyUnreachable
from lbgen.proxies.traefik.api import Api
from lbgen.proxies.traefik.apply import STATIC
from lbgen.render.files import Files

TIMEOUT = 60.0  # seconds
ATTEMPTS = 3  # at a port that nobody else takes meanwhile
KEPT = ("entryPoints", "serversTransport", "tcpServersTransport")  # of the static file: nothing that asks others
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"^\S+ (?:ERR|FTL) (.*)$", re.MULTILINE)


def run(files: Files, binary: str) -> None:
    """Try the files.

    Raises:
        CheckFailed: Traefik will not have them, or not all of them: its own words.
        CheckUnavailable: it could not be asked.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="lbgen-check-") as directory:
            stage = Path(directory)
            _write(files, stage)
            for _ in range(ATTEMPTS):
                port = _free_port()
                (stage / STATIC).write_text(json.dumps(_static(files, stage, port)), encoding="utf-8")
                if _tried(files, binary, stage, port):
                    return
    except OSError as error:
        raise CheckUnavailable(f"{binary}: cannot check the files: {error}") from error
    raise CheckUnavailable(f"{binary}: cannot check the files: no port of 127.0.0.1 stays free")


def _write(files: Files, stage: Path) -> None:
    for name, text in files.texts.items():
        if name != STATIC:
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _static(files: Files, stage: Path, port: int) -> dict[str, object]:
    """Return a static configuration with the entry points of the real one, on ports that nobody uses."""
    found = documents.parse(files.texts.get(STATIC) or "{}", STATIC, ApplyFailed)
    kept: dict[str, object] = {}
    if isinstance(found, dict):
        kept = {key: found[key] for key in KEPT if found.get(key)}
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


def _tried(files: Files, binary: str, stage: Path, port: int) -> bool:
    """Start Traefik and hear what it says; return False if somebody else has the port now."""
    log = stage / "log"
    # Nothing of our own environment: a file that asks for it is to get nothing.
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(stage)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, f"--configFile={stage / STATIC}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=stage,
            start_new_session=True,
        )
    try:
        return _heard(files, binary, Api("127.0.0.1", port), process, lambda: _said(log, stage))
    finally:
        process.kill()
        process.wait()


def _heard(files: Files, binary: str, api: Api, process: subprocess.Popen[bytes], said: Callable[[], str]) -> bool:
    deadline = time.monotonic() + TIMEOUT
    while True:
        with contextlib.suppress(ProxyUnreachable):
            if api.generation("file") == files.generation:
                refused = api.refused("file", lambda _: True)
                if refused:
                    raise CheckFailed((binary,), "\n".join(refused))
                return True
        words = said()
        ended = process.poll() is not None
        if ended and "address already in use" in words:
            return False
        # Once it has complained about a provider, or ended, it will not read the files any more.
        if ended or "Cannot start the provider" in words:
            raise CheckFailed((binary,), words or f"exit status {process.returncode} without a message")
        if time.monotonic() > deadline:
            raise CheckUnavailable(f"{binary}: has not read the files after {TIMEOUT:.0f} s; {words}")
        time.sleep(0.02)


def _said(log: Path, stage: Path) -> str:
    """Return Traefik's own words, without time, colour and what is ours."""
    text = _COLOUR.sub("", log.read_text(errors="replace")).replace(f"{stage}/", "").strip()
    return "\n".join(_ERROR.findall(text)) or text


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
