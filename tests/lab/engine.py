"""The Docker Engine API over a unix socket, as plain JSON, and the docker CLI.

Deliberately not lbgen's own client: the lab must be able to say that lbgen is wrong.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

from tests.lab.settings import LabError


class EngineError(LabError):
    """The Engine API answered with an error status; `status` has it."""

    def __init__(self, request: str, status: int, message: str) -> None:
        super().__init__(f"{request}: {status} {message}")
        self.status, self.message = status, message


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def api(path: Path, method: str, target: str, body: Any = None, *, timeout: float = 20, **query: Any) -> Any:
    """Send one request to the Docker socket `path` and return the decoded answer.

    Args:
        body: sent as JSON; bytes or an open file go as they are, as a tar archive.
        query: values that are not strings are sent as JSON, the shape of the API's ``filters``.
    Raises:
        EngineError: the engine refused. OSError: nobody answers.
    """
    if query:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in query.items()}
        target += "?" + urllib.parse.urlencode(texts)
    raw = body is None or isinstance(body, bytes) or hasattr(body, "read")
    headers = {"Content-Type": "application/x-tar" if raw else "application/json"}
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, target, body if raw else json.dumps(body), headers)
        reply = connection.getresponse()
        content = reply.read()
    finally:
        connection.close()
    is_json = (reply.getheader("Content-Type") or "").startswith("application/json")
    if reply.status >= 400:
        message = json.loads(content).get("message", "") if is_json else content.decode(errors="replace")
        raise EngineError(f"{method} {target} on {path}", reply.status, message)
    if is_json and content:
        lines = content.splitlines()
        return json.loads(content) if len(lines) == 1 else [json.loads(line) for line in lines if line]
    return content


def docker_cli() -> str:
    """Path of the docker CLI: Debian's own where there are several, since it is of the daemons' version."""
    for candidate in ("/usr/bin/docker", shutil.which("docker")):
        if candidate and Path(candidate).exists():
            return candidate
    raise LabError("no docker command: apt-get install docker.io")


def docker(path: Path, *arguments: str, input: bytes | None = None, timeout: float = 60) -> str:
    """Run the docker CLI against the socket `path` and return its output without surrounding white space.

    The caller's Docker settings (host, context, TLS, proxies) do not reach it.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    environment |= {"DOCKER_CONFIG": str(path.parent / "cli"), "DOCKER_BUILDKIT": "0"}
    command = [docker_cli(), "-H", f"unix://{path}", *arguments]
    try:
        done = subprocess.run(
            command, env=environment, input=input or b"", capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as problem:
        raise LabError(f"no answer after {timeout:g} s: docker {' '.join(arguments)} on {path}") from problem
    if done.returncode != 0:
        text = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise LabError(f"docker {' '.join(arguments)} on {path}: exit {done.returncode}: {text}")
    return done.stdout.decode(errors="replace").strip()
