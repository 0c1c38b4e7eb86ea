"""What authors add to the Nginx set, with traffic: the recipes of docs/templates.md do what they say there."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import Fact, a_snapshot, app
from tests.support.clients import Client
from tests.support.paths import ROOT
from tests.support.real_nginx import VERSIONS, Site, binary, renderer, site, target, write
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

pytestmark = [pytest.mark.proxy("nginx"), pytest.mark.timeout(600)]
DOCUMENT = (ROOT / "docs/templates.md").read_text()
HOST = "shop.example.org"


@pytest.fixture(params=VERSIONS)
def nginx(request, short_dir) -> Iterator[Site]:
    """A site for each version of Nginx, whose workers may read its files."""
    short_dir.chmod(0o755)
    with site(binary(request.param), short_dir) as made:
        yield made


@pytest.fixture
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


def recipe(name: str) -> str:
    """The template of docs/templates.md with this path."""
    return re.search(rf"^`{name}/nginx.conf.j2`:\n\n```jinja\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)[1]  # type: ignore[index]


def start(nginx: Site, templates: Path, text: str, *facts: Fact) -> int:
    """Start Nginx for these facts with this template; returns the listener's port."""
    nginx.write(*facts)
    templates.mkdir(exist_ok=True)
    (templates / "nginx.conf.j2").write_text(text)
    made = renderer(target(nginx.program, nginx.directory, templates))
    write(made.render(nginx.model, a_snapshot()), nginx.directory)
    nginx.run()
    return nginx.ports["web"]


def answer(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
    """Ask; return status, headers and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    body = "x" if method == "POST" else None
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers, text


def test_headers_add_up(nginx, servers, tmp_path):
    """Headers for all and for some, of authors, labels and lbgen: all of them are there, each once."""
    keys = {"host": HOST, "response-header.x-label": "label", "request-header.x-label": "label"}
    shop = app("shop", keys, servers.port, "127.1.0.1")
    port = start(nginx, tmp_path / "mine", recipe("custom/nginx"), *shop)
    client = Client(port)
    said = client.ask(host=HOST, headers={"X-Forwarded-For": "192.0.2.1", "X-Backend": "forged"})
    client.close()
    names = ("X-Edge", "X-Backend", "X-Label", "Host", "X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Proto")
    assert [said.header(name) for name in names] == [
        ["paris"], ["shop"], ["label"], [HOST], ["127.0.0.1"], ["127.0.0.1"], ["http"],
    ]  # fmt: skip
    _, headers, _ = answer(port)
    for name, value in (("X-Content-Type-Options", "nosniff"), ("X-Backend", "shop"), ("X-Label", "label")):
        assert headers.get_all(name) == [value]


def test_upgrades_beside_headers(nginx, servers, tmp_path):
    """A header of an author's in a location takes neither Upgrade nor the rest from servers."""
    shop = app("shop", {"host": HOST, "timeout.idle": "90s"}, servers.port, "127.1.0.1")
    port = start(nginx, tmp_path / "mine", recipe("custom/nginx"), *shop)
    client = Client(port)
    said = client.ask(host=HOST, headers={"Connection": "upgrade", "Upgrade": "websocket"})
    client.close()
    assert [said.header(name) for name in ("Upgrade", "Connection", "X-Backend", "Host")] == [
        ["websocket"], ["upgrade"], ["shop"], [HOST],
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("keys", [{}, {"method": "GET,POST"}, {"timeout.idle": "90s"}])
def test_error_page(nginx, servers, method, keys, tmp_path):
    """A page for 502 has that status, and what failed was sent to the application once."""
    shop = app("shop", {"host": HOST, "retries": "0", **keys}, servers.port, "127.1.0.1")
    servers.moods["127.1.0.1"] = "empty"
    port = start(nginx, tmp_path / "mine", recipe("custom/nginx"), *shop)
    status, headers, text = answer(port, "/x", method)
    assert (status, text) == (502, "back in a minute\n")
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert servers.seen == [("127.1.0.1", method, "/x")]
    assert answer(port, "/.sorry")[0] == 404  # for Nginx itself only


def test_error_page_keeps_jumps(nginx, servers, tmp_path):
    """Rules and screens lead on where servers and locations have error pages of their own."""
    text = recipe("custom/nginx").replace(
        "add_header X-Backend", "error_page 504 /.sorry;\n            add_header X-Backend"
    )
    shop = app("shop", {"host": HOST}, servers.port, "127.1.0.1")
    port = start(
        nginx, tmp_path / "mine", text, *shop, *app("put", {"host": HOST, "method": "PUT"}, servers.port, "127.1.0.2")
    )
    assert '"127.1.0.2"' in answer(port, "/", "PUT")[2]
    assert '"127.1.0.1"' in answer(port)[2]


LOGIN = {
    "": {"http.main.host": HOST},
    "rule": {"http.main.host": HOST, "http.main.method": "GET,POST,PUT"},
    "screen": {
        "http.main.host": HOST,
        "http.office.host": HOST,
        "http.office.path": "/office",
        "http.office.allow-ip": "127.0.0.0/8",
    },
}


@pytest.mark.parametrize("keys", LOGIN.values(), ids=[*LOGIN])
def test_login(nginx, servers, keys, tmp_path):
    """The login service keeps people out and lets others in, by rules, screens and named locations alike."""
    text = recipe("recipes/login").replace('backend.name == "shop"', 'backend.name.startswith("shop")')
    shop = app("shop", {**keys, "timeout.idle": "90s"}, servers.port, "127.1.0.1")
    login = app("login", {"host": "login.example.org"}, servers.port, "127.1.0.2")
    port = start(nginx, tmp_path / "mine", text, *shop, *login)
    for path in ("/", "/office", "/office%2Fx", "//office", "/x?y"):
        for method, more in (("GET", {}), ("POST", {}), ("GET", {"Connection": "upgrade", "Upgrade": "websocket"})):
            servers.moods["127.1.0.2"] = "ill"  # refuses
            assert answer(port, path, method, **more)[0] in (403, 500), path
            assert servers.asked()["127.1.0.1"] == 0
            servers.moods.clear()
            status, _, said = answer(port, path, method, X_User="forged", **more)
            assert (status, '"127.1.0.1"' in said, "forged" in said) == (200, True, False), path
            asked = [seen for seen in servers.seen if seen[0] == "127.1.0.2"]
            assert asked == [("127.1.0.2", "GET", "/verify")] * 2
            assert servers.asked(method)["127.1.0.1"] == 1
            servers.seen.clear()


def test_login_without_login_service(nginx, servers, tmp_path):
    """Without servers of the login service nobody is let in."""
    port = start(
        nginx, tmp_path / "mine", recipe("recipes/login"), *app("shop", {"host": HOST}, servers.port, "127.1.0.1")
    )
    assert answer(port)[0] == 500
    assert servers.seen == []


@pytest.mark.parametrize("keys", [{}, {"method": "GET,POST"}, {"timeout.idle": "90s"}])
def test_mirror(nginx, servers, keys, tmp_path):
    """Each request is copied once, to where it should be, body and all."""
    shop = app("shop", {"host": HOST, **keys}, servers.port, "127.1.0.1")
    port = start(
        nginx,
        tmp_path / "mine",
        recipe("recipes/mirror"),
        *shop,
        *app("api", {"host": "api.example.org"}, servers.port, "127.1.0.2"),
    )
    sent = [("POST", "/a/../b?c=%2F"), ("GET", "/d")]
    for method, path in sent:
        assert '"127.1.0.1"' in answer(port, path, method)[2]
    wanted = sorted((where, *each) for each in sent for where in ("127.1.0.1", "127.1.0.2"))
    wait_for(lambda: len(servers.seen) >= len(wanted), "the copies")
    assert sorted(servers.seen) == wanted


def test_files(nginx, servers, tmp_path):
    """A file that is there is served; what is not comes from the service, by its labels."""
    keys = {"host": HOST, "deny-ip": "127.0.0.2", "response-header.x-label": "label"}
    shop = app("shop", keys, servers.port, "127.1.0.1")
    port = start(nginx, tmp_path / "mine", recipe("recipes/files"), *shop)
    folder = nginx.directory / "www/assets"
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("one")
    assert answer(port, "/assets/one.txt")[2] == "one"
    status, headers, text = answer(port, "/assets/two.txt?x=1")
    assert (status, headers["X-Label"], '"/assets/two.txt?x=1"' in text) == (200, "label", True)


def test_accel(nginx, servers, tmp_path):
    """X-Accel-Redirect leads to a file where an author allows it, and nowhere else."""
    facts = [
        *app("shop", {"host": HOST}, servers.port, "127.1.0.1"),
        *app("api", {"host": HOST, "path": "/api"}, servers.port, "127.1.0.2"),
    ]
    port = start(nginx, tmp_path / "mine", recipe("recipes/accel"), *facts)
    (nginx.directory / "files").mkdir()
    (nginx.directory / "files/secret.txt").write_text("secret")
    wish = "X-Accel-Redirect: /.files/secret.txt"
    assert answer(port, "/x", X_Answer=wish)[2] == "secret"
    assert '"127.1.0.2"' in answer(port, "/api/x", X_Answer=wish)[2]


@pytest.mark.parametrize("kept", [True, False])
def test_cache(nginx, servers, kept, tmp_path):
    """Nginx keeps answers where it reads them ahead, as the recipe has it, and nowhere else."""
    text = recipe("recipes/cache").replace("/var/cache/nginx", f"{nginx.directory}/cache")
    if not kept:
        text = text.replace("proxy_buffering on;", "")
    port = start(nginx, tmp_path / "mine", text, *app("shop", {"host": HOST}, servers.port, "127.1.0.1"))

    def x_cache() -> str:
        return answer(port, "/x", X_Answer="Cache-Control: max-age=60")[1]["X-Cache"]

    if kept:  # the client has its answer before Nginx has put the file into the cache
        wait_for(lambda: x_cache() == "HIT", "an answer from the cache")
        servers.seen.clear()
        assert [x_cache() for _ in range(3)] == ["HIT"] * 3
        assert servers.seen == []
    else:
        assert [x_cache() for _ in range(3)] == ["MISS"] * 3
        assert len(servers.seen) == 3


SPELLINGS = (
    "/.files/a",
    "//.files/a",
    "/.files//a",
    "/%2efiles/a",
    "/x/../.files/a",
    "/.files/a%20b",
    "/./.files/%25",
    "/.files/",
)


def test_internal_locations(nginx, servers, tmp_path):
    """No client comes into an internal location of an author's, however the path is spelt."""
    port = start(
        nginx, tmp_path / "mine", recipe("recipes/accel"), *app("shop", {"host": HOST}, servers.port, "127.1.0.1")
    )
    (nginx.directory / "files").mkdir()
    for name in ("a", "a%20b", "a b", "%25", "%"):
        (nginx.directory / "files" / name).write_text("secret")
    assert {path: answer(port, path)[0] for path in SPELLINGS} == dict.fromkeys(SPELLINGS, 404)
    assert answer(port, "/x%20y")[0] == 200
    wish = "X-Accel-Redirect: /.files/a%20b"
    assert answer(port, "/%20", X_Answer=wish)[2] == "secret"
