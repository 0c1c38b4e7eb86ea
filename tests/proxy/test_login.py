"""Label forward-auth: a real login service, real proxies, real traffic. Nobody comes in whom it does not let in."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lbgen.model import build
from lbgen.settings import Settings
from lbgen.snapshot import Snapshot
from tests.support import proxies
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task, lbgen_labels
from tests.support.certificates import certificate
from tests.support.clients import Client, Reply, raw
from tests.support.login_service import HUGE, LARGE, PAGE, RENEWED, SESSION, LoginService, login_service
from tests.support.passwords import HASH
from tests.support.ports import free_port
from tests.support.real_servers import Servers, http_servers
from tests.support.running import PROXIES, changing, ports_of
from tests.support.tls import Authority
from tests.support.wait import wait_for

on_every_proxy = pytest.mark.parametrize(
    "proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES]
)
IN = {"Cookie": SESSION}
RENEW, HANG = {"X-Mood": "renew"}, {"X-Mood": "hang"}
NOT_IN = ["csrf=1; Path=/", "state=2; Path=/"]  # cookies for those who are not let in
PASSWORD = {"Authorization": "Basic YW5uYTpzZWNyZXQ="}
# Services by name: their own keys. "login" is where the login service's are, which does not take part itself.
ASKS = {
    "forward-auth": "http://login:<login>/verify?from=lbgen",
    "forward-auth.response-headers": "remote-user,remote-groups",
}
SERVICES: dict[str, dict[str, str]] = {
    "app": {"host": "app.example.org", **ASKS},
    "parts": {
        "http.all.host": "parts.example.org",
        "http.admin.host": "parts.example.org",
        "http.admin.path": "/admin",
        **{f"http.admin.{key}": value for key, value in ASKS.items()},
    },
    "both": {"host": "both.example.org", "basic-auth": "staff", **ASKS},
    "moved": {"host": "moved.example.org", "redirect": "https://new.example.org/", **ASKS},
    "away": {"host": "away.example.org", "redirect-regex": "^http://[^/]*/old/(.*) https://new.example.org/$1", **ASKS},
    "near": {"host": "near.example.org", "allow-ip": "127.0.0.2", **ASKS},
    "pages": {"host": "pages.example.org", "cors.origins": "https://shop.example.org", **ASKS},
    "small": {
        "host": "small.example.org",
        "max-body": "1k",
        "strip-prefix": "/api",
        "request-header.x-own": "1",
        **ASKS,
    },
    "bare": {"host": "bare.example.org", "forward-auth": "login:<login>"},
    "direct": {"host": "direct.example.org", "forward-auth": "http://127.9.9.9:<login>/at"},
    "trusting": {"host": "trusting.example.org", "forward-auth.trust": "true", **ASKS},
    "renewing": {"host": "renewing.example.org", "forward-auth.cookies": "session,seen,last", **ASKS},
    "asleep": {"host": "asleep.example.org", "forward-auth": "http://nobody:<login>/"},
    "quick": {"host": "quick.example.org", "forward-auth": "http://hurried:<login>/"},
}
WAITING = 4  # requests at once about which it never says anything
ADDRESSES = ("127.2.1.1", "127.2.1.2")  # of the login service's tasks


@dataclass
class Site:
    """What a test asks."""

    port: int
    login: LoginService
    apps: Servers
    bring_to: Any

    def ask(self, host: str, path: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        """Ask once, on a connection of its own."""
        client = Client(self.port)
        try:
            return client.fetch(method, path, f"{host}.example.org", headers, body)
        finally:
            client.close()


def traefik_labels(app: int, login: int) -> dict[str, str]:
    """A service as its owners wrote it for Traefik and Authelia."""
    own = {
        "enable": "true",
        "http.routers.own.rule": "Host(`traefik.example.org`)",
        "http.routers.own.middlewares": "authelia",
        "http.services.own.loadbalancer.server.port": str(app),
        "http.middlewares.authelia.forwardAuth.address": f"http://login:{login}/api/authz/forward-auth",
        "http.middlewares.authelia.forwardAuth.trustForwardHeader": "true",
        "http.middlewares.authelia.forwardAuth.authResponseHeaders": "Remote-User,Remote-Groups",
        "http.middlewares.authelia.forwardAuth.addAuthCookiesToResponse": "session",
    }
    return {f"traefik.{key}": value for key, value in own.items()}


def snapshot_of(
    app: int, login: int, services: dict[str, dict[str, str]], tasks: tuple[str, ...] = ADDRESSES
) -> Snapshot:
    """The services, each with a task at 127.1.<number>.1; and the login services, which do not take part."""
    facts: list[Fact] = [a_node(), a_network("edge")]
    for number, (name, keys) in enumerate(services.items(), 1):
        own = {
            "port": app,
            "health-check": "off",
            **{key: value.replace("<login>", str(login)) for key, value in keys.items()},
        }
        facts.append(a_service(name, labels=lbgen_labels(own), networks=("edge-id",)))
        facts.append(a_task(name, 1, addresses={"edge-id": f"127.1.{number}.1"}))
    facts.append(a_service("own", labels=traefik_labels(app, login), networks=("edge-id",)))
    facts.append(a_task("own", 1, addresses={"edge-id": "127.1.99.1"}))
    for name, addresses, time in (("login", tasks, "600s"), ("hurried", tasks, "1s"), ("nobody", (), "1s")):
        labels = {"lbgen.health-check": "off", "lbgen.timeout.response": time}
        facts.append(a_service(name, labels=labels, networks=("edge-id",)))
        facts += [a_task(name, slot, addresses={"edge-id": address}) for slot, address in enumerate(addresses, 1)]
    return a_snapshot(*facts)


def settings_of(proxy: str, directory: Path, trusted: list[str], program: str = "") -> Settings:
    """One listener, one proxy that lbgen runs; the address of service "direct" is allowed."""
    (directory / "users").mkdir()
    directory.chmod(0o755)
    (directory / "users" / "staff").write_text(f"anna:{HASH}\n")
    certificate(directory / "certs" / "any.pem", "any.example.org")
    return Settings.model_validate(
        {
            "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}", "trusted_proxies": trusted}},
            "discovery": {"dialects": ["lbgen", "traefik"]},
            "status": {"bind": ""},
            "users": str(directory / "users"),
            "certificates": str(directory / "certs"),
            "server_cas": str(directory / "authority"),
            "claims": [{"logins": ["*"]}],
            "targets": {
                "edge": {
                    "templates": [proxy],
                    "output": str(directory / "out"),
                    "probe": f"127.0.0.1:{free_port()}",
                    "apply": {"run": True},
                    **({"binary": program} if program else {}),
                }
            },
        }
    )


@contextlib.contextmanager
def site(
    proxy: str,
    directory: Path,
    services: dict[str, dict[str, str]] | None = None,
    trusted: Sequence[str] = (),
    program: str = "",
) -> Iterator[Site]:
    """The proxy in front of all services, behind load balancers at these addresses."""
    settings = settings_of(proxy, directory, list(trusted), program)
    with http_servers() as apps, login_service() as login:
        snapshot = snapshot_of(apps.port, login.port, services or SERVICES)
        assert build(snapshot, settings.rules()).problems == ()
        with changing(settings, snapshot) as bring_to:
            yield Site(ports_of(settings)["web"], login, apps, bring_to)


def seen(answer: Reply) -> dict[str, list[str]]:
    """The headers that the application saw."""
    assert answer.status == 200, answer
    return json.loads(answer.body)["headers"]


@on_every_proxy
def test_who_is_let_in(proxy, short_dir):
    """A session comes in with its names, everybody else gets the login service's own answer, whole."""
    with site(proxy, short_dir) as asked:
        stranger = asked.ask("app", "/shop?a=1&b=%2F")
        assert stranger.status == 302
        assert stranger.header("location") == ["https://login.example.org/?rd=http://app.example.org/shop?a=1&b=%2F"]
        assert sorted(stranger.header("set-cookie")) == NOT_IN
        assert stranger.body == PAGE
        for mood, status, body in (
            ("basic", 401, b"who are you?\n"),
            ("teapot", 418, b"teapot"),
            ("bare", 403, b"bare"),
        ):
            answer = asked.ask("app", **{"X-Mood": mood})
            assert (answer.status, answer.body) == (status, body), mood
        assert asked.ask("app", **{"X-Mood": "basic"}).header("www-authenticate") == ['Basic realm="login"']
        assert asked.ask("app", **{"X-Mood": "broken"}).status == 500
        long = asked.ask("app", **{"X-Mood": "chunked"})
        assert (long.status, long.body) == (403, b"onetwo" + b"x" * 6000)
        assert asked.apps.seen == []
        headers = seen(asked.ask("app", **IN))
        assert (headers["remote-user"], headers["remote-groups"]) == (["anna"], ["staff,admins"])
        assert seen(asked.ask("bare", **{"X-Mood": "empty"}))
        assert seen(asked.ask("direct", **IN))
        assert asked.ask("direct").status == 302


@on_every_proxy
def test_what_it_is_told(proxy, short_dir):
    """It is asked with GET and without the body, which the application gets once; nothing forged is told."""
    with site(proxy, short_dir) as asked:
        forged = {"X-Forwarded-Uri": "/public", "X-Forwarded-Method": "GET", "X-Forwarded-Host": "evil.example.org"}
        more = {
            "X-Forwarded-For": "192.0.2.1",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-User": "root",
            "X-Own": "kept",
        }
        answer = asked.ask("app", "/a/../b%2Fc?d=e", "POST", b"x" * 5000, **IN, **forged, **more)
        assert json.loads(answer.body)["body"] == "x" * 5000
        assert [how for _, how, _ in asked.apps.seen] == ["POST"]
        (question,) = asked.login.asked
        told = question.headers
        assert (question.method, question.path, question.body) == ("GET", "/verify?from=lbgen", b"")
        assert told["x-forwarded-method"] == "POST"
        assert told["x-forwarded-uri"] in ("/a/../b%2Fc?d=e", "/b%2Fc?d=e")
        assert told["x-forwarded-host"] == "app.example.org"
        assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "http")
        assert (told["cookie"], told["x-own"], told.get("content-length", "0")) == (SESSION, "kept", "0")
        assert "x-forwarded-user" not in told


@on_every_proxy
def test_names_are_its_own(proxy, short_dir):
    """What a client says under a name of the login service's never arrives, in any spelling, let in or not named."""
    with site(proxy, short_dir) as asked:
        forged = {"Remote-User": "root", "remote_user": "root", "Remote_Groups": "wheel", "REMOTE-GROUPS": "wheel"}
        for who, expected in ((IN, ["anna"]), ({"X-Mood": "anonymous"}, [])):
            headers = seen(asked.ask("app", **forged, **who))
            values = [
                value for name, each in headers.items() for value in each if name.replace("_", "-") == "remote-user"
            ]
            assert values == expected
            assert not {"root", "wheel"} & {value for each in headers.values() for value in each}


@on_every_proxy
def test_guarded_in_any_spelling(proxy, short_dir):
    """A path that the login service guards is its own, however it is spelt; the rest of the host is open."""
    with site(proxy, short_dir) as asked:
        assert asked.ask("parts", "/").status == 200
        for path in (
            "/admin",
            "/admin/",
            "//admin",
            "/x/../admin",
            "/%61dmin",
            "/admin/x",
            "/./admin",
            "/x/..%2fadmin",
            "/admin;x",
        ):
            assert asked.ask("parts", path).status == 302, path
            assert asked.ask("parts", path, **IN).status == 200, path
        assert b" 302 " in raw(
            asked.port, "GET /x/../admin HTTP/1.1\r\nHost: parts.example.org\r\nConnection: close\r\n\r\n"
        )
        for path in ("/lbgen-login/parts.http.admin", "lbgen-login/app", "/@login/app"):
            text = raw(asked.port, f"GET {path} HTTP/1.1\r\nHost: app.example.org\r\nConnection: close\r\n\r\n")
            assert text.split(b" ")[1] in (b"302", b"400"), path


@on_every_proxy
def test_beside_other_keys(proxy, short_dir):
    """Addresses come first, preflight requests are answered, passwords count too; redirects and paths come after."""
    with site(proxy, short_dir) as asked:
        assert asked.ask("near", **IN).status == 403
        assert asked.ask("moved").status == 302
        assert asked.ask("moved").header("location") != ["https://new.example.org/"]
        assert asked.ask("moved", **IN).header("location") == ["https://new.example.org/"]
        assert asked.ask("away", "/old/x").header("location")[0].startswith("https://login.example.org/")
        assert asked.ask("away", "/old/x", **IN).header("location") == ["https://new.example.org/x"]
        assert asked.ask("away", "/new", **IN).status == 200
        preflight = {"Origin": "https://shop.example.org", "Access-Control-Request-Method": "GET"}
        assert asked.ask("pages", "/", "OPTIONS", **preflight).status in (200, 204)
        assert asked.ask("pages", "/", "OPTIONS").status == 302
        assert asked.ask("both", **IN).status == 401
        assert asked.ask("both", **IN).header("www-authenticate") != []
        assert asked.ask("both", **PASSWORD).status == 302
        assert asked.ask("both", **PASSWORD, **IN).status == 200
        assert asked.ask("small", "/api/x", "POST", b"x" * 2000, **IN).status == 413
        answer = asked.ask("small", "/api/x", "POST", b"x" * 100, **IN)
        assert (json.loads(answer.body)["path"], seen(answer)["x-own"]) == ("/x", ["1"])


@on_every_proxy
def test_closed_while_it_cannot_be_reached(proxy, short_dir):
    """No server, a dead one, one that hangs up, or an answer that is too large: nobody comes in."""
    with site(proxy, short_dir) as asked:
        unreachable = 500 if proxy == "traefik" else 503
        assert asked.ask("asleep", **IN).status == 503
        assert asked.ask("app", **{"X-Mood": "hang-up"}).status == unreachable
        huge = asked.ask("app", **{"X-Mood": "huge"})
        assert (huge.status, len(huge.body)) == {"haproxy": (403, 0), "nginx": (403, HUGE), "traefik": (401, 0)}[proxy]
        asked.login.ill.update(ADDRESSES)
        assert asked.ask("app", **IN).status == unreachable
        assert asked.apps.seen == []
        asked.login.ill.clear()
        assert wait_for(lambda: asked.ask("app", **IN).status == 200, "the login service to be asked again")


@on_every_proxy
def test_closed_while_it_never_answers(proxy, short_dir):
    """Who asks is refused after its time-out (Traefik's own, 30 s), and nobody else waits for that."""
    with site(proxy, short_dir) as asked, ThreadPoolExecutor() as pool, contextlib.ExitStack() as ends:
        ends.callback(asked.login.release.set)  # it hangs up
        waiting = [pool.submit(asked.ask, "app", **HANG) for _ in range(WAITING)]
        assert wait_for(lambda: len(asked.login.asked) >= WAITING, "all to be asked about")
        assert asked.ask("app", **IN).status == 200
        assert asked.ask("app").status == 302
        assert asked.ask("parts").status == 200
        if proxy != "traefik":
            assert asked.ask("quick", **HANG).status == 503
            assert not any(each.done() for each in waiting)
            ends.close()
        assert {each.result().status for each in waiting} == {500 if proxy == "traefik" else 503}
        assert len(asked.apps.seen) == 2


@on_every_proxy
def test_follows_its_tasks(proxy, short_dir):
    """The login service's tasks are followed like any backend's; without the service the route is closed."""
    with site(proxy, short_dir) as asked:
        asked.bring_to(snapshot_of(asked.apps.port, asked.login.port, SERVICES, ("127.2.1.7",)))
        asked.login.asked.clear()
        assert asked.ask("app", **IN).status == 200
        assert {question.address for question in asked.login.asked} == {"127.2.1.7"}
        asked.bring_to(snapshot_of(asked.apps.port, asked.login.port, SERVICES, ()))
        assert asked.ask("app", **IN).status == 503
        without = snapshot_of(asked.apps.port, asked.login.port, SERVICES)
        gone = a_snapshot(
            *without.nodes.values(),
            *without.networks.values(),
            *(s for s in without.services.values() if s.name != "login"),
        )
        asked.bring_to(gone)
        assert asked.ask("parts", "/admin", **IN).status == 403
        assert asked.ask("app", **IN).status == 503


@on_every_proxy
def test_one_connection(proxy, short_dir):
    """Requests of one client connection are judged one by one, a refused body between them too."""
    with site(proxy, short_dir) as asked:
        client = Client(asked.port)
        statuses = []
        for headers in (IN, {}, IN, {"X-Mood": "basic"}, {}, IN):
            statuses.append(client.fetch("POST", "/", "app.example.org", headers, b"y" * 3000).status)
        client.close()
        assert statuses == [200, 302, 200, 401, 302, 200]
        assert len(asked.apps.seen) == 3
        first = f"GET / HTTP/1.1\r\nHost: app.example.org\r\nCookie: {SESSION}\r\n\r\n"
        last = "GET / HTTP/1.1\r\nHost: app.example.org\r\nConnection: close\r\n\r\n"
        text = raw(asked.port, first + last)
        assert [text.count(b"HTTP/1.1 200"), text.count(b"HTTP/1.1 302")] == [1, 1]


@on_every_proxy
def test_answers_have_the_routes_headers(proxy, short_dir):
    """Who is not let in, or cannot be asked about, is told so with the route's own headers."""
    headers = {"cors.origins": "https://shop.example.org", "response-header.x-mark": "marked"}
    services = {
        "app": {"host": "app.example.org", **ASKS, **headers},
        "near": {"host": "near.example.org", "allow-ip": "127.0.0.2", **ASKS, **headers},
        "asleep": {"host": "asleep.example.org", "forward-auth": "http://nobody:<login>/", **headers},
    }
    with site(proxy, short_dir, services) as asked:
        for host, expected in {"app": 200, "near": 403, "asleep": 503}.items():
            answer = asked.ask(host, origin="https://shop.example.org", **IN)
            assert answer.status == expected or (proxy, host) == ("traefik", "asleep")
            assert [answer.header(name) for name in ("x-mark", "access-control-allow-origin")] == [
                ["marked"],
                ["https://shop.example.org"],
            ], host
        refused = asked.ask("app", origin="https://shop.example.org")
        assert refused.status == 302
        assert refused.header("x-mark") == ["marked"]
        assert refused.header("access-control-allow-origin") == ["https://shop.example.org"]


def renewed(program: str) -> list[str]:
    """The cookies of RENEWED that clients get: Nginx has all of them since 1.23."""
    said = subprocess.run([program, "-v"], check=True, capture_output=True, text=True).stderr
    found = re.search(r"nginx/([0-9]+)\.([0-9]+)", said)
    return list(RENEWED[:1] if found and (int(found[1]), int(found[2])) < (1, 23) else RENEWED)


@pytest.mark.parametrize("release", ["", "trixie"])
@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")])
def test_sessions_are_renewed(proxy, release, short_dir):
    """Cookies with which the login service lets a client in reach it, beside the application's own."""
    program = str({"haproxy": proxies.haproxy, "nginx": proxies.nginx}[proxy](release)) if release else ""
    with site(proxy, short_dir, program=program) as asked:
        cookies = renewed(program or proxy)
        assert given(asked, "app", "own=1; Path=/") == sorted(["own=1; Path=/", *cookies])
        assert asked.ask("app", **IN, **{"X-Answer": "Set-Cookie: last=app"}).header("set-cookie") == ["last=app"]
        assert asked.ask("moved", **IN, **RENEW).header("set-cookie") == cookies
        assert sorted(asked.ask("app", **RENEW).header("set-cookie")) == NOT_IN


@pytest.mark.proxy("traefik")
def test_traefik_renews_sessions_by_name(short_dir):
    """Traefik hands on cookies that labels name, its own labels, too."""
    with site("traefik", short_dir) as asked:
        assert given(asked, "renewing", "own=1; Path=/") == sorted(["own=1; Path=/", *RENEWED])
        assert given(asked, "traefik", "own=1; Path=/") == sorted(["own=1; Path=/", RENEWED[0]])
        assert given(asked, "app", "own=1; Path=/") == ["own=1; Path=/"]
        assert sorted(asked.ask("renewing", **RENEW).header("set-cookie")) == NOT_IN


def given(asked: Site, host: str, own: str) -> list[str]:
    """The cookies that a client gets who is let in, where the application sets one of its own."""
    return sorted(asked.ask(host, **IN, **RENEW, **{"X-Answer": f"Set-Cookie: {own}"}).header("set-cookie"))


@on_every_proxy
def test_large_names_and_cookies(proxy, short_dir):
    """What the login service says may be as large as clients' headers, however much body is on its way with it."""
    with site(proxy, short_dir) as asked:
        for size in (0, 50_000):
            answer = asked.ask("app", "/", "POST", b"x" * size, **IN, **{"X-Mood": "large"})
            assert seen(answer)["remote-user"] == [LARGE], size
            assert answer.header("set-cookie") == ([] if proxy == "traefik" else [f"big={LARGE}"])


@on_every_proxy
def test_labels_of_traefik(proxy, short_dir):
    """What was written for Traefik and Authelia holds on every proxy."""
    with site(proxy, short_dir) as asked:
        assert asked.ask("traefik").header("location") == ["https://login.example.org/?rd=http://traefik.example.org/"]
        assert seen(asked.ask("traefik", **IN))["remote-user"] == ["anna"]
        assert asked.login.asked[-1].path == "/api/authz/forward-auth"


@on_every_proxy
def test_behind_a_load_balancer(proxy, short_dir):
    """Who asks, and by which scheme, is what a trusted load balancer says; the method and the URI only with .trust."""
    told = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https", "X-Forwarded-Method": "PUT"}
    told |= {"X-Forwarded-Uri": "/outside?a=b"}
    with site(proxy, short_dir, trusted=["127.0.0.1"]) as asked:
        for host, method, uri in (("app", "GET", "/in"), ("trusting", "PUT", "/outside?a=b")):
            headers = seen(asked.ask(host, "/in", **IN, **told))
            question = asked.login.asked[-1].headers
            assert (question["x-forwarded-method"], question["x-forwarded-uri"]) == (method, uri)
            assert question["x-forwarded-for"].split(", ")[0] == "192.0.2.9"
            assert question["x-forwarded-proto"] == "https"
            assert not {"x-forwarded-method", "x-forwarded-uri"} & headers.keys()


@on_every_proxy
def test_strangers_are_not_believed(proxy, short_dir):
    """Where no load balancer is trusted .trust believes nobody."""
    with site(proxy, short_dir) as asked:
        seen(asked.ask("trusting", "/in", **IN, **{"X-Forwarded-Method": "PUT", "X-Forwarded-Uri": "/outside"}))
        question = asked.login.asked[-1].headers
        assert (question["x-forwarded-method"], question["x-forwarded-uri"]) == ("GET", "/in")


@on_every_proxy
@pytest.mark.parametrize("vouched", [True, False])
def test_certificates(proxy, vouched, short_dir):
    """Over HTTPS it is the login service for whom the authority vouches that its label server-ca names, or nobody."""
    good, other = Authority(short_dir / "good"), Authority(short_dir / "other")
    pair = (good if vouched else other).issue("login.internal", ADDRESSES[0], hosts=["login.internal"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    settings = settings_of(proxy, short_dir, [])
    (short_dir / "authority").mkdir()
    shutil.copy(good.ca, short_dir / "authority" / "internal.pem")
    with http_servers() as apps, login_service(context) as login:
        services = {"app": {"host": "app.example.org", "forward-auth": "https://login:<login>/"}}
        facts = snapshot_of(apps.port, login.port, services, ADDRESSES[:1])
        labels = {"health-check": "off", "server-ca": "internal", "server-name": "login.internal"}
        known = {
            id_: replace(service, labels=lbgen_labels(labels, enable=None)) if service.name == "login" else service
            for id_, service in facts.services.items()
        }
        snapshot = replace(facts, services=known)
        with changing(settings, snapshot) as bring_to:
            asked = Site(ports_of(settings)["web"], login, apps, bring_to)
            assert asked.ask("app", **IN).status == (200 if vouched else 500 if proxy == "traefik" else 503)
            assert len(login.asked) == len(apps.seen) == int(vouched)
