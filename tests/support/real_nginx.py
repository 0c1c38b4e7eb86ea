"""A real Nginx on rendered files, of this machine's version or trixie's. For tests marked ``proxy("nginx")``.

``TEST_NGINX=sid pytest tests/test_nginx_*.py`` asks the one of another Debian release.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lbgen.daemon import assembly
from lbgen.model import Model, build
from lbgen.proxies.nginx import processes
from lbgen.proxies.nginx.kind import build_of
from lbgen.render.renderer import Files, Renderer
from lbgen.settings import Settings, TargetSettings
from tests.lab.settings import LabError
from tests.support import proxies
from tests.support.builders import Fact, a_listener, a_network, a_node, a_rules, a_snapshot
from tests.support.certificates import certificate
from tests.support.ports import free_port
from tests.support.wait import wait_for

VERSIONS = os.environ.get("TEST_NGINX", "own,trixie").split(",")
EDGE = a_network("edge")


def binary(version: str) -> str:
    """The program of that version; skips (in CI: fails) where it cannot be installed with its stream module."""
    if version == "own":
        program = shutil.which("nginx") or ""
    else:
        try:
            if os.geteuid() != 0:
                raise LabError("making it needs root")
            program = str(proxies.nginx(version))
        except LabError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"no Nginx of {version}: {error}")
    if not build_of(program).stream:
        reason = "no stream module on this machine: apt-get install libnginx-mod-stream"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return program


def target(program: str, output: Path, *directories: Path, probe: str = "", **more: Any) -> TargetSettings:
    """A target for this program, as settings would say it."""
    return TargetSettings(
        templates=[*map(str, directories), "nginx"],
        output=output,
        binary=program,
        probe=probe or f"127.0.0.1:{free_port()}",
        **more,
    )


def renderer(made: TargetSettings, settings: Settings | None = None) -> Renderer:
    """The target's renderer."""
    return assembly.Assembly("edge", made, settings or Settings()).renderer()


def write(files: Files, directory: Path) -> None:
    """Put rendered files into a directory."""
    for name, text in files.texts.items():
        (directory / name).write_text(text)


def check(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run ``nginx -t`` on the file in a directory."""
    words = [program, "-t", "-c", str(directory / "nginx.conf")]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Process:
    """An Nginx on the files of a directory."""

    def __init__(self, program: str, directory: Path) -> None:
        self.directory, self.log = directory, directory / "stderr.log"
        words = [program, "-c", f"{directory}/nginx.conf", "-g", "daemon off;"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(self._is_up, "nginx to start")
        except AssertionError:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The master's."""
        return self._process.pid

    def workers(self) -> frozenset[int]:
        """The workers that take new connections."""
        return processes.workers(self.pid)

    def reloads(self) -> int:
        """How often the master was told to reload."""
        return (self.directory / "nginx-error.log").read_text().count("signal 1 (SIGHUP) received")

    def kill(self) -> None:
        """Kill the master, and only it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, and its workers."""
        left = processes.workers(self.pid)
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end(left)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        return bool(self.workers())


def end(pids: frozenset[int] | list[int]) -> None:
    """Kill those of these processes that are Nginx's."""
    for pid in pids:
        if processes.find(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def end_all_in(directory: Path) -> None:
    """Kill every Nginx whose files are in this directory."""
    end([each.pid for each in processes.everyone() if f"{directory}/" in each.title])
    processes.end_orphans(directory / "nginx-error.log")


class Site:
    """A directory with rendered files for these facts, and an Nginx on them once it is started."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program, self.directory = program, directory
        self.running: list[Process] = []
        self.ports: dict[str, int] = {}
        self.model = Model()

    def write(self, *facts: Fact, protocols: dict[str, str] | None = None, faulty: bool = False, **more: Any) -> Files:
        """Render these facts for listeners of these protocols ("http", "http+tls", "tcp", "udp", ...)."""
        listeners = []
        for name, protocol in (protocols or {"web": "http"}).items():
            kind, _, tls = protocol.partition("+")
            listeners.append(a_listener(name, free_port(), kind, address="127.0.0.1", tls=bool(tls)))
        if any(listener.tls for listener in listeners):
            certificate(self.directory / "certs/all.pem", "a.org", "*.a.org")
        snapshot = a_snapshot(a_node(), EDGE, *facts)
        self.model = build(snapshot, a_rules(*listeners))
        assert faulty or self.model.problems == ()
        settings = Settings(certificates=self.directory / "certs", users=self.directory / "users")
        files = renderer(target(self.program, self.directory, **more), settings).render(self.model, snapshot)
        write(files, self.directory)
        self.ports = {listener.name: listener.port for listener in listeners}
        return files

    def start(self, *facts: Fact, **more: Any) -> dict[str, int]:
        """Start an Nginx for these facts, as `write` takes them; returns each listener's port."""
        self.write(*facts, **more)
        self.run()
        return self.ports

    def run(self) -> Process:
        """Start an Nginx on the files that are there."""
        self.running.append(Process(self.program, self.directory))
        return self.running[-1]

    def accepted(self) -> None:
        """Fail unless ``nginx -t`` takes the files without a warning."""
        done = check(self.program, self.directory)
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr, done.stderr


@contextlib.contextmanager
def site(program: str, directory: Path) -> Iterator[Site]:
    """A site whose Nginx is ended with it."""
    made = Site(program, directory)
    try:
        yield made
    finally:
        for process in made.running:
            process.stop()
