"""Pages in place of errors: of the proxy's own answers and of the application's; the status stays."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lbgen.model import build
from lbgen.render.credential_problems import with_credential_problems
from lbgen.render.credentials import CredentialReader
from lbgen.settings import Settings
from tests.support.builders import Fact, a_network, a_node, a_snapshot, app
from tests.support.ports import free_port
from tests.support.real_servers import Servers, http_servers
from tests.support.running import changing, ports_of
from tests.support.wait import PATIENCE

SORRY, SHUT = "<h1>Back \tat $noon, 100% \"sure\" 'x' \\n {{ 1 }} {% x %}</h1>\n\n<p>Ü</p>\n", "shut {{ generation }}\n"
FILES = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")]
WELL, ILL = "127.1.0.1", "127.1.0.2"
ROUTES: Mapping[str, Mapping[str, str]] = {
    "empty": {},
    "ill": {},
    "guarded": {"allow-ip": "192.0.2.1"},
    "named": {"allow-ip": "192.0.2.1", "allow-ip.status": "404"},
    "denied": {"deny": "true", "deny.status": "451"},
    "known": {"basic-auth": "staff"},
    "limited": {"rate-limit": "1/h", "rate-limit.burst": "0"},
    "small": {"max-body": "10"},
    "well": {},
}
PAGES = {"error-pages.5xx": "sorry.html", "error-pages.400-499": "shut.txt", "response-header.x-seen": "1"}


def settings(proxy: str, directory: Path) -> Settings:
    """One listener, and a proxy that lbgen runs."""
    for name in ("pages", "users"):
        (directory / name).mkdir(exist_ok=True)
    (directory / "pages/sorry.html").write_text(SORRY)
    (directory / "pages/shut.txt").write_text(SHUT)
    (directory / "users/staff").write_text("")
    directory.chmod(0o755)  # Nginx's workers read there, on an account of their own
    target = {"templates": [proxy], "output": str(directory / "out"), "probe": f"127.0.0.1:{free_port()}"}
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
            "status": {"bind": ""},
            **{name: str(directory / name) for name in ("certificates", "users", "pages")},
            "targets": {"edge": {**target, "apply": {"run": True}}},
        }
    )


def facts(port: int, pages: Mapping[str, str]) -> list[Fact]:
    """A service for each of ROUTES, with these pages."""
    found: list[Fact] = [a_node(), a_network("edge")]
    for name, keys in ROUTES.items():
        where = {"empty": (), "ill": (ILL,)}.get(name, (WELL,))
        found += app(name, {"host": f"{name}.org", **keys, **pages}, port, *where)
    return found


@contextlib.contextmanager
def ill_and_well() -> Iterator[Servers]:
    """HTTP servers, of which one answers 503 to everything."""
    with http_servers() as servers:
        servers.moods[ILL] = "ill"
        yield servers


class Answer:
    """What a client got."""

    def __init__(self, port: int, name: str, method: str = "GET", path: str = "/", body: str = "") -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request(method, path, body or None, {"Host": f"{name}.org"})
        with contextlib.closing(connection), connection.getresponse() as response:
            self.status, self.headers, self.text = response.status, response.headers, response.read().decode()

    @property
    def told(self) -> tuple[int, str, str]:
        """Status, type and text."""
        return self.status, self.headers.get("Content-Type", ""), self.text


@pytest.mark.parametrize("proxy", FILES)
def test_pages(proxy, short_dir):
    """Each error of the route has its page, whichever server answers, and whatever the method; nothing else has one."""
    made = settings(proxy, short_dir)
    sorry = "text/html; charset=utf-8", SORRY.expandtabs(8)
    shut = "text/plain; charset=utf-8", SHUT
    with ill_and_well() as servers, changing(made, a_snapshot(*facts(servers.port, PAGES))):
        port = ports_of(made)["web"]
        for method in ("GET", "POST"):
            assert Answer(port, "empty", method).told == (503, *sorry)
            assert Answer(port, "ill", method).told == (503, *sorry)
            assert Answer(port, "guarded", method).told == (403, *shut)
            assert Answer(port, "named", method).told == (404, *shut)
            assert Answer(port, "denied", method).told == (451, *shut)
            assert Answer(port, "known", method).told == (401, *shut)
            assert Answer(port, "well", method).status == 200
        for name in ("empty", "ill", "guarded", "denied", "known"):
            headers = Answer(port, name).headers
            assert (headers["Cache-Control"], headers["X-Seen"]) == ("no-store", "1")
        assert Answer(port, "empty", "HEAD").told == (503, sorry[0], "")
        assert "Basic" in Answer(port, "known").headers["WWW-Authenticate"]
        assert Answer(port, "small", "POST", body="x" * 11).told == (413, *shut)
        assert Answer(port, "limited").status == 200
        assert {Answer(port, "limited").told for _ in range(3)} == {(429, *shut)}
        assert Answer(port, "nobody").told[0] == 404
        assert Answer(port, "nobody").text != SHUT
        # The application is asked once for each request, and no client can ask for a page itself.
        assert servers.asked("POST")[ILL] == 1
        for path in ("//pages/well/sorry.html", "/pages/well/sorry.html", "/%2Fpages/well/sorry.html"):
            assert Answer(port, "well", path=path).status == 200


@pytest.mark.parametrize("proxy", FILES)
def test_saved_page(proxy, short_dir):
    """A page that is saved is shown; one that cannot be used leaves what was, one that is not there the answer."""
    made = settings(proxy, short_dir)
    page, pages = short_dir / "pages/sorry.html", {"error-pages.503": "sorry.html", "error-pages.403": "none.html"}
    with ill_and_well() as servers, changing(made, a_snapshot(*facts(servers.port, pages))) as bring_to:
        port = ports_of(made)["web"]
        assert "h1" in Answer(port, "empty").text
        assert Answer(port, "guarded").status == 403
        assert Answer(port, "ill").text == Answer(port, "empty").text
        for text, shown in (("new\n", "new\n"), ("x" * 15_000, "new\n"), ("newer\n", "newer\n")):
            page.write_text(text)
            bring_to(a_snapshot(*facts(servers.port, pages), listing=2))
            assert Answer(port, "empty").told == (503, "text/html; charset=utf-8", shown)
            assert Answer(port, "ill").told == (503, "text/html; charset=utf-8", shown)


def test_missing_page(short_dir):
    """What names a page that is not there is told, with its label; a page that cannot be used is, too."""
    made = settings("haproxy", short_dir)
    (short_dir / "pages/large.html").write_text("x" * 15_000)
    (short_dir / "pages/README").write_text("no page")
    model = build(a_snapshot(*facts(80, {"error-pages.5xx": "none.html"})), made.rules())
    problems = with_credential_problems(model, CredentialReader(made).read()).problems
    found = [problem for problem in problems if problem.service == "empty"]
    assert [problem.label for problem in found] == ["lbgen.error-pages.5xx"]
    assert (
        "there is no file none.html in the directory of setting pages; till then the answer stays" in found[0].message
    )
    assert [problem.file for problem in problems if problem.file] == [str(short_dir / "pages/large.html")]
