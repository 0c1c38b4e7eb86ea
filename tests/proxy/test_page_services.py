"""A service's answers in place of errors, the proxy's own and the application's: the status stays."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lbgen.settings import Settings
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task, app
from tests.support.login_service import login_service
from tests.support.ports import free_port
from tests.support.running import changing, ports_of
from tests.support.wait import PATIENCE

WEB, PAGES = "127.1.0.1", "127.1.0.9"
FETCHING = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("nginx", "traefik")]
OWN = {"Content-Type": "text/plain", "X-Seen": "app"}


@dataclass
class Service:
    """An HTTP server that is application and page service in one, told apart by address."""

    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # application: method, path, body
    pages: list[tuple[str, str, str]] = field(default_factory=list)  # page service: method, path, body


@contextlib.contextmanager
def service() -> Iterator[Service]:
    """Run it until the block ends. The application answers with the status that the path is."""
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            is_page = self.connection.getsockname()[0] == PAGES
            (made.pages if is_page else made.asked).append((self.command, self.path, body))
            words = self.path.strip("/").partition("?")[0]
            status = 200 if is_page else int(words) if words.isdecimal() else 200
            text = f"<p>{self.path}</p>" if is_page else "the application's"
            self.send_response(404 if self.path == "/missing" else status)
            for name, value in ({"Content-Type": "text/html; charset=utf-8"} if is_page else OWN).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("0.0.0.0", 0), Handler) as server:
        made.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        server.shutdown()


def settings(proxy: str, directory: Path) -> Settings:
    """One listener, and a proxy that lbgen runs."""
    target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    directory.chmod(0o755)  # Nginx's workers read there, on an account of their own
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            **{name: str(directory / name) for name in ("certificates", "pages")},
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )


KEYS = {
    "error-pages.5xx": "http://pages/sorry/{status}.html?from={url}",
    "error-pages.404": "http://pages/missing",
    "error-pages.403": "http://pages/{status}",
    "error-pages.413": "http://pages/{status}",
}
ROUTES = {
    "web": {},
    "empty": {},
    "guarded": {"allow-ip": "192.0.2.1"},
    "denied": {"deny": "true", "deny.status": "403"},
    "small": {"max-body": "10"},
    "marked": {"response-header.x-seen": "1", "allow-ip": "192.0.2.1"},
}


def facts(port: int, *, pages_port: int = 0, tasks: bool = True) -> list[Fact]:
    """A service for each of ROUTES, and one that has pages and takes no part otherwise."""
    found: list[Fact] = [a_node(), a_network("edge")]
    for name, keys in ROUTES.items():
        found += app(name, {"host": f"{name}.org", **keys, **KEYS}, port, *([] if name == "empty" else [WEB]))
    return [*found, *app("pages", {"enable": "false"}, pages_port or port, *([PAGES] if tasks else []))]


def ask(port: int, name: str, path: str = "/", method: str = "GET", body: str = "") -> tuple[int, str, str]:
    """What a client gets: status, type and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Host": f"{name}.org", "If-None-Match": "x"}
    connection.request(method, path, body or None, headers)
    with contextlib.closing(connection), connection.getresponse() as response:
        return response.status, response.headers.get("Content-Type", ""), response.read().decode()


@pytest.mark.parametrize("proxy", FETCHING)
def test_pages(proxy, short_dir):
    """An error's page is what the service answers, wherever the error comes from; the status is the client's."""
    made, html = settings(proxy, short_dir), "text/html; charset=utf-8"
    with service() as served, changing(made, a_snapshot(*facts(served.port))):
        port = ports_of(made)["web"]
        assert ask(port, "web", "/200") == (200, "text/plain", "the application's")
        assert served.pages == []
        for status, text in (ask(port, "empty")[::2], ask(port, "web", "/503")[::2]):
            assert (status, text.partition("?")[0]) == (503, "<p>/sorry/503.html")
        assert ask(port, "web", "/500")[:2] == (500, html)
        # What the page service answers is shown, even if it has no such page; the client's status stays.
        assert ask(port, "web", "/404") == (404, html, "<p>/missing</p>")
        for name in ("guarded", "denied"):
            assert ask(port, name) == (403, html, "<p>/403</p>")
        assert ask(port, "web", "/418") == (418, "text/plain", "the application's")
        assert ask(port, "small", method="POST", body="x" * 11) == (413, html, "<p>/413</p>")
        assert ask(port, "empty", method="HEAD") == (503, html, "")
        served.asked.clear()
        served.pages.clear()
        # The application is asked once, and the page service gets no body.
        assert ask(port, "web", "/502", "POST", "money")[::2] == (502, f"<p>{served.pages[-1][1]}</p>")
        assert served.asked == [("POST", "/502", "money")]
        ((method, path, body),) = served.pages
        assert (method, path.partition("?")[0], body) == ("GET", "/sorry/502.html", "")
        assert "502" in path.partition("?from=")[2]


@pytest.mark.parametrize("proxy", FETCHING)
def test_page_service_gone(proxy, short_dir):
    """Where the page service cannot be reached, or has no server, the answer is a plain one with the status."""
    made = settings(proxy, short_dir)
    with service() as served, changing(made, a_snapshot(*facts(served.port))) as bring_to:
        port = ports_of(made)["web"]
        assert "/sorry/503" in ask(port, "empty")[2]
        for number, gone in enumerate(
            (facts(served.port, pages_port=free_port()), facts(served.port, tasks=False), facts(served.port)[:-2]), 2
        ):
            bring_to(a_snapshot(*gone, listing=number))
            for name, path, status in (
                ("empty", "/", 503),
                ("web", "/500", 500),
                ("web", "/404", 404),
                ("guarded", "/", 403),
            ):
                found = ask(port, name, path)
                assert found[0] == status
                assert "<p>/" not in found[2]
            assert ask(port, "web", "/200")[0] == 200
        bring_to(a_snapshot(*facts(served.port), listing=9))
        assert "/sorry/500" in ask(port, "web", "/500")[2]


@pytest.mark.parametrize("proxy", FETCHING)
def test_headers(proxy, short_dir):
    """An error's page has the headers that the route adds to answers."""
    made = settings(proxy, short_dir)
    with service() as served, changing(made, a_snapshot(*facts(served.port))):
        connection = http.client.HTTPConnection("127.0.0.1", ports_of(made)["web"], timeout=PATIENCE)
        connection.request("GET", "/", headers={"Host": "marked.org"})
        with contextlib.closing(connection), connection.getresponse() as response:
            assert (response.status, response.headers.get_all("X-Seen")) == (403, ["1"])
            assert response.read() == b"<p>/403</p>"


@pytest.mark.parametrize("proxy", FETCHING)
def test_traefiks_labels(proxy, short_dir):
    """Middleware `errors` asks the service that it names, on its port."""
    made = settings(proxy, short_dir)
    made = made.model_copy(update={"discovery": made.discovery.model_copy(update={"dialects": ["traefik"]})})
    with service() as served, service() as pages:
        keys = {
            "enable": "true",
            "http.routers.web.rule": "Host(`web.org`)",
            "http.routers.web.service": "web",
            "http.routers.web.middlewares": "shown",
            "http.services.web.loadbalancer.server.port": served.port,
            "http.services.pages.loadbalancer.server.port": pages.port,
            "http.middlewares.shown.errors.status": "500-599",
            "http.middlewares.shown.errors.service": "pages",
            "http.middlewares.shown.errors.query": "/page-{status}",
        }
        labels = {f"traefik.{key}": str(value) for key, value in keys.items()}
        web = a_service("web", labels=labels, networks=("edge-id",)), a_task("web", addresses={"edge-id": WEB})
        with changing(made, a_snapshot(a_node(), a_network("edge"), *web)):
            port = ports_of(made)["web"]
            assert [ask(port, "web", path)[0] for path in ("/200", "/404", "/503")] == [200, 404, 503]
            assert served.asked == [("GET", path, "") for path in ("/200", "/404", "/503")]
            assert pages.asked == [("GET", "/page-503", "")]


@pytest.mark.parametrize("proxy", [pytest.param("haproxy", marks=pytest.mark.proxy("haproxy"))])
def test_plain_answer(proxy, short_dir):
    """HAProxy fetches no pages: it gives the plain answer, and the application's stays."""
    made = settings(proxy, short_dir)
    with service() as served, changing(made, a_snapshot(*facts(served.port))):
        port = ports_of(made)["web"]
        assert [ask(port, name)[0] for name in ("empty", "guarded", "web")] == [503, 403, 200]
        assert ask(port, "web", "/500") == (500, "text/plain", "the application's")
        assert served.pages == []


@pytest.mark.parametrize("proxy", FETCHING)
def test_beside_a_login(proxy, short_dir):
    """A login service's redirect is no error, so no page stands in its place; whom another guard refuses gets one."""
    made = settings(proxy, short_dir)
    with service() as served, login_service() as login:
        keys = {
            "host": "web.org",
            "forward-auth": f"http://login:{login.port}/",
            "error-pages.4xx": "http://pages/{status}",
        }
        found = [*app("web", keys, served.port, WEB), *app("pages", {"enable": "false"}, served.port, PAGES)]
        found += app("login", {"enable": "false"}, login.port, "127.1.0.8")
        found += app("shut", {**keys, "host": "shut.org", "allow-ip": "192.0.2.1"}, served.port, WEB)
        with changing(made, a_snapshot(a_node(), a_network("edge"), *found)):
            port = ports_of(made)["web"]
            assert ask(port, "web")[0] == 302
            assert served.asked == served.pages == []
            assert ask(port, "shut") == (403, "text/html; charset=utf-8", "<p>/403</p>")
