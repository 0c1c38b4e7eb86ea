"""Copies of requests: one for each that is let in, with its body; nobody waits for the answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lbgen.settings import Settings
from tests.support.builders import Fact, a_network, a_node, a_snapshot, a_task, app
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_servers import http_servers
from tests.support.running import changing, ports_of
from tests.support.wait import PATIENCE, wait_for

WEB, NEXT = "127.1.0.1", "127.1.0.2"
MIRRORING = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("nginx", "traefik")]


class Recorder:
    """A server that notes what it is asked, and answers 500 when `release` is set."""

    def __init__(self) -> None:
        self.copies: list[tuple[str, str, str, str]] = []  # method, path, X-Env, body
        self.release = threading.Event()
        self.port = 0


@contextlib.contextmanager
def recorder() -> Iterator[Recorder]:
    """Run it until the block ends."""
    made = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size).decode()
            made.copies.append((self.command, self.path, self.headers.get("X-Env", ""), body))
            made.release.wait(PATIENCE)
            with contextlib.suppress(OSError):  # the proxy has hung up
                self.send_response(500)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"never")

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A proxy that hangs up is not an error."""

    with Server(("0.0.0.0", 0), Handler) as server:
        made.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.release.set()
        server.shutdown()


def settings(proxy: str, directory: Path) -> Settings:
    """One listener, and a proxy that lbgen runs."""
    target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            "certificates": str(directory / "certs"),
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )


def facts(port: int, mirror_port: int, **keys: object) -> list[Fact]:
    """A service that is mirrored to another one, which takes no part otherwise."""
    written = {"mirror": "next", **{key.replace("_", "-"): value for key, value in keys.items()}}
    shadow = app("next", {"enable": "false", "allow-ip": "192.0.2.1"}, mirror_port, NEXT)
    return [a_node(), a_network("edge"), *app("web", written, port, WEB), *shadow]


@pytest.mark.parametrize("proxy", MIRRORING)
def test_copies(proxy, short_dir):
    """Each request that is let in has one copy, rewritten as the request is, and with its body."""
    made = settings(proxy, short_dir)
    keys = {"strip_prefix": "/api", "request-header.x-env": "test", "deny-ip": "127.0.0.9", "max-body": "100k"}
    with recorder() as copied, http_servers() as servers:
        copied.release.set()
        with changing(made, a_snapshot(*facts(servers.port, copied.port, **keys))):
            port = ports_of(made)["web"]
            client = Client(port)
            assert client.ask("/api/a?b=%20c").status == 200
            for method, body in (("POST", "x" * 50_000), ("PUT", "y")):
                assert client.ask("/api/d", method=method, body=body).said["body"] == body
            # Of those that are kept out there is none.
            assert client.ask("/api/e", method="POST", body="z" * 110_000).status == 413
            assert Client(port).ask("/api/last").status == 200
            expected = {
                ("GET", "/a?b=%20c", "test", ""),
                ("POST", "/d", "test", "x" * 50_000),
                ("PUT", "/d", "test", "y"),
                ("GET", "/last", "test", ""),
            }
            wait_for(lambda: len(copied.copies) >= len(expected), "the copies")
            assert sorted(copied.copies) == sorted(expected)
            assert servers.asked()[WEB] == len(expected)


@pytest.mark.parametrize("proxy", MIRRORING)
def test_percent(proxy, short_dir):
    """Some of the requests are copied, and each at most once."""
    made = settings(proxy, short_dir)
    with recorder() as copied, http_servers() as servers:
        copied.release.set()
        with changing(made, a_snapshot(*facts(servers.port, copied.port, **{"mirror.percent": 30}))):
            client = Client(ports_of(made)["web"])
            for number in range(200):
                assert client.ask(f"/{number}").status == 200
            wait_for(lambda: len(copied.copies) >= 20, "copies")
            assert len({path for _, path, _, _ in copied.copies}) == len(copied.copies)
            assert len(copied.copies) <= 110


@pytest.mark.parametrize("proxy", MIRRORING)
def test_nobody_waits(proxy, short_dir):
    """A mirror that does not answer, refuses connections or is gone costs no request, and is no answer."""
    made = settings(proxy, short_dir)
    with recorder() as copied, http_servers() as servers:
        slow, refusing = (facts(servers.port, port) for port in (copied.port, free_port()))
        none = [fact for fact in slow if fact.id != "next-1-id"]
        for number, each in enumerate((slow, refusing, none)):
            with changing(made, a_snapshot(*each)):
                port = ports_of(made)["web"]
                for _ in range(5):
                    assert Client(port).ask("/", method="POST", body="x").server == WEB, number
        assert {copy[0] for copy in copied.copies} == {"POST"}


@pytest.mark.parametrize("proxy", MIRRORING)
def test_retried_request(proxy, short_dir):
    """A request that is sent to another server, since the first refuses connections, has one copy."""
    made = settings(proxy, short_dir)
    with recorder() as copied, http_servers() as servers:
        copied.release.set()
        dead = a_task("web", 2, addresses={"edge-id": "240.0.0.2"})
        with changing(made, a_snapshot(*facts(servers.port, copied.port), dead)):
            client = Client(ports_of(made)["web"])
            for number in range(12):
                assert client.ask(f"/{number}").server == WEB
            wait_for(lambda: len(copied.copies) >= 12, "the copies")
            assert sorted(path for _, path, _, _ in copied.copies) == sorted(f"/{number}" for number in range(12))
