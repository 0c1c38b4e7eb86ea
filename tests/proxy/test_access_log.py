"""Access logs of listeners, every proxy: a line for each request, which programs can read whatever is asked."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.tls_site import EVERY, Site, app
from tests.support.wait import PATIENCE, wait_for

KEYS = [
    *(
        "time",
        "listener",
        "client",
        "method",
        "host",
        "path",
        "protocol",
        "status",
        "bytes",
        "duration_ms",
        "server_ms",
    ),
    *("backend", "service", "server", "node", "referer", "user_agent"),
]
# Traefik's own names, and its backend's: docs/operations.md.
TRAEFIKS = {
    "listener": "entryPointName",
    "client": "ClientHost",
    "method": "RequestMethod",
    "host": "RequestHost",
    "path": "RequestPath",
    "protocol": "RequestProtocol",
    "status": "DownstreamStatus",
    "backend": "ServiceName",
    "referer": "request_Referer",
    "user_agent": "request_User-Agent",
}
HOSTILE = [
    b'GET /a"b\\c?q="%22 HTTP/1.1\r\nHost: a.org\r\nUser-Agent: x"\\y\r\nReferer: \xff\xc3\xa9"}\r\n',
    b"GET /\xc3\xa9\xff HTTP/1.1\r\nHost: a.org\r\nUser-Agent: \xf0\x9f\x98\x80\r\n",
    b'GET /none HTTP/1.1\r\nHost: b.org\r\nUser-Agent: "status":200\r\n',
    b"GET /long" + b"x\\" * 3000 + b" HTTP/1.1\r\nHost: a.org\r\nUser-Agent: " + b'"' * 2000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a.org\r\nUser-Agent: \x01\x1b[2J\r\n",
    b"GET / HTTP/1.1\r\nHost: a.org\r\nUser-Agent: " + b"\x01" * 7000 + b"\r\nReferer: " + b"\x01" * 7000 + b"\r\n",
    b'GET / HTTP/1.1\r\nHost: a"b\\\r\n',
]


class Syslog:
    """A syslog server; its messages as lines."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.said: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while message := self.socket.recv(70000):
            self.said.append(message)

    def lines(self) -> list[bytes]:
        """What each message says behind its header."""
        return [re.sub(rb"^.*?(?:lbgen: |\]: )", b"", message).rstrip(b"\n") for message in self.said]


@pytest.fixture
def port() -> Iterator[int]:
    """That of HTTP servers on every address."""
    with http_servers() as servers:
        yield servers.port


@pytest.fixture
def logged(kind, short_dir, port) -> Iterator[Callable[[str], tuple[Site, Callable[[], list[bytes]]]]]:
    """Make a site with a listener that logs in a format, and what it logs."""
    made: list[Site] = []

    def make(form: str) -> tuple[Site, Callable[[], list[bytes]]]:
        file, syslog = short_dir / "access.log", Syslog()
        to = str(file) if kind == "traefik" else f"syslog:{syslog.address}"  # Traefik has no syslog, HAProxy no files
        access_log = {"format": form, "to": to}
        site = Site(kind, short_dir, more={"logged": {"bind": f"127.0.0.1:{free_port()}", "access_log": access_log}})
        made.append(site)
        site.settings.default_listeners.append("logged")
        site.target.start()
        site.serve(*app("a", "127.1.0.1", port, host="a.org"))
        return site, (lambda: written(file)) if kind == "traefik" else syslog.lines

    yield make
    for site in made:
        site.target.stop()


def written(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines() if file.exists() else []


def ask(port: int, request: bytes) -> int:
    """Send a request as it is; the answer's status."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request + b"Connection: close\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # there was more than the proxy wanted to read
            while more := connection.recv(65536):
                answer += more
    return int(answer.split()[1]) if answer else 400


def fields(kind: str, line: bytes) -> dict[str, Any]:
    """A line of JSON, by our names."""
    found = json.loads(line.decode("utf-8"))
    if kind == "traefik":
        return {ours: found.get(theirs, "-") for ours, theirs in TRAEFIKS.items()}
    assert list(found) == KEYS
    return dict(found)


@EVERY
def test_json(kind, logged):
    """One object for each request of that listener, whatever clients write into it."""
    site, lines = logged("json")
    assert ask(site.port("web"), b"GET /unlogged HTTP/1.1\r\nHost: a.org\r\n") == 200
    plain = b"GET /x?y=1 HTTP/1.1\r\nHost: a.org\r\nUser-Agent: me\r\nReferer: http://r.org/\r\n"
    statuses = [ask(site.port("logged"), request) for request in [plain, *HOSTILE]]
    # Traefik does not log what it refuses as no HTTP.
    expected = [status for status in statuses if kind != "traefik" or status != 400]
    wait_for(lambda: len(lines()) >= len(expected), "the lines")
    found = [fields(kind, line) for line in lines()]
    # Threads of a proxy do not write in the order in which they answer.
    assert sorted(item["status"] for item in found) == sorted(expected)
    told = next(item for item in found if item["path"] == "/x?y=1")
    backend = "a@file" if kind == "traefik" else "a"
    assert {key: told[key] for key in TRAEFIKS} == {
        "listener": "logged",
        "client": "127.0.0.1",
        "method": "GET",
        "host": "a.org",
        "path": "/x?y=1",
        "protocol": "HTTP/1.1",
        "status": 200,
        "backend": backend,
        "referer": "http://r.org/",
        "user_agent": "me",
    }
    if kind != "traefik":
        assert (told["service"], told["server"], told["node"]) == ("a", "a.1", "node1")
        assert told["bytes"] > 100
        # Nginx takes the one from the time of day and the other from a clock of its own: they round apart.
        assert told["duration_ms"] + (kind == "nginx") >= told["server_ms"] >= 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d", told["time"])
        assert any((item["user_agent"], item["path"]) == ('x"\\y', '/a"b\\c?q="%22') for item in found)
        nothing = next(item for item in found if item["path"] == "/none")
        assert (nothing["backend"], nothing["service"], nothing["server"], nothing["node"]) == ("-",) * 4
        assert nothing["server_ms"] == -1


COMBINED = re.compile(
    rb'(\S+) - \S+ \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(\S+) (\S+) (\S+)" (\d{3}) (\d+) '
    rb'"((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)


@EVERY
def test_combined(kind, logged):
    """The line that many programs read; nobody gets out of its quotation marks."""
    site, lines = logged("combined")
    plain = b"GET /x?y=1 HTTP/1.1\r\nHost: a.org\r\nUser-Agent: me\r\nReferer: http://r.org/\r\n"
    statuses = [ask(site.port("logged"), request) for request in [plain, *HOSTILE]]
    expected = [status for status in statuses if kind != "traefik" or status != 400]
    wait_for(lambda: len(lines()) >= len(expected), "the lines")
    found = [COMBINED.match(line) for line in lines()]
    assert None not in found
    assert sorted(int(match[5]) for match in found if match) == sorted(expected)
    told = next(match.groups() for match in found if match and match[3] == b"/x?y=1")
    assert told[:5] == (b"127.0.0.1", b"GET", b"/x?y=1", b"HTTP/1.1", b"200")
    assert told[6:] == (b"http://r.org/", b"me")


@pytest.mark.proxy("nginx")
def test_file(short_dir, port):
    """Nginx writes a file, and another one after it was moved away and the master was told USR1."""
    file = short_dir / "access.log"
    short_dir.chmod(0o755)  # workers open the new file themselves, on their own account
    site = Site(
        "nginx", short_dir, more={"logged": {"bind": f"127.0.0.1:{free_port()}", "access_log": {"to": str(file)}}}
    )
    site.settings.default_listeners.append("logged")
    site.target.start()
    try:
        site.serve(*app("a", "127.1.0.1", port, host="a.org"))
        assert ask(site.port("logged"), b"GET /first HTTP/1.1\r\nHost: a.org\r\n") == 200
        wait_for(lambda: written(file), "the line")
        assert fields("nginx", written(file)[0])["path"] == "/first"
        file.rename(short_dir / "moved.log")
        subprocess.run(["kill", "-USR1", (short_dir / "out/nginx.pid").read_text().strip()], check=True)

        def asked_again() -> list[bytes]:
            """Workers open it one after the other."""
            assert ask(site.port("logged"), b"GET /second HTTP/1.1\r\nHost: a.org\r\n") == 200
            return written(file)

        assert fields("nginx", wait_for(asked_again, "a line in the new file", timeout=20)[0])["path"] == "/second"
    finally:
        site.target.stop()


@pytest.mark.proxy("nginx")
def test_stdout_of_systemd(short_dir, port, monkeypatch):
    """Standard output that is a socket cannot be opened: Nginx starts all the same."""
    monkeypatch.setattr("lbgen.proxies.nginx.kind.stdout_is_socket", lambda: True)
    more = {"logged": {"bind": f"127.0.0.1:{free_port()}", "access_log": "json"}}
    site = Site("nginx", short_dir, more=more)
    site.settings.default_listeners.append("logged")
    site.target.start()
    try:
        site.serve(*app("a", "127.1.0.1", port, host="a.org"))
        assert ask(site.port("logged"), b"GET / HTTP/1.1\r\nHost: a.org\r\n") == 200
        text = (short_dir / "out/nginx.conf").read_text()
        assert "syslog:server=unix:/dev/log" in text
        assert "/dev/stdout" not in text
    finally:
        site.target.stop()
