"""A move from Traefik as docs/migration.md tells it, rehearsed.

Traefik with its own Swarm provider serves ten services. lbgen comes to stand beside it in front of published ports,
both are asked the same, and the address moves under traffic.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.service import Service, ingress_port
from tests.lab.services import Attached, Lab
from tests.lab.settings import LabError
from tests.lab.sidecar import Sidecar
from tests.lab.traffic import Traffic
from tests.support.command import run

TRAEFIK = Path(sys.executable).parent / "traefik"
WEB, OLD, BESIDE, OLD_BESIDE, API = 8000, 8010, 8001, 8011, 8099
FIRST_PORT = 8101  # that the services publish
STATIC = """\
entryPoints:
  web:
    address: ":{web}"
    http: {{middlewares: [everywhere@file]}}
    transport: {{keepAliveMaxTime: 2s}}
    forwardedHeaders: {{trustedIPs: [10.99.0.0/16]}}
  old:
    address: ":{old}"
    http: {{redirections: {{entryPoint: {{to: web, scheme: http}}}}}}
  traefik: {{address: "127.0.0.1:{api}"}}
providers:
  providersThrottleDuration: 100ms
  swarm:
    endpoint: "unix://{socket}"
    network: edge
    refreshSeconds: 1
    defaultRule: "Host(`{{{{ normalize .Name }}}}.test`)"
  file: {{filename: "{dynamic}"}}
api: {{insecure: true}}
log: {{level: ERROR}}
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
"""
DYNAMIC = """\
http:
  middlewares:
    everywhere:
      headers: {customRequestHeaders: {X-Entry: web}, customResponseHeaders: {X-Everywhere: "yes"}}
"""
# By service: its labels below traefik.http, but for the port, which all have.
SERVICES: dict[str, dict[str, str]] = {
    "shop": {"routers.shop.rule": "Host(`shop.test`)", "routers.shop.entrypoints": "web"},
    "api": {
        "routers.api.rule": "Host(`shop.test`) && PathPrefix(`/api`)",
        "routers.api.middlewares": "strip-api",
        "middlewares.strip-api.stripprefix.prefixes": "/api",
    },
    "intern": {
        "routers.intern.rule": "Host(`intern.test`)",
        "routers.intern.middlewares": "nobody",
        "middlewares.nobody.ipallowlist.sourcerange": "203.0.113.0/24",
    },
    "login": {
        "routers.login.rule": "Host(`login.test`)",
        "routers.login.middlewares": "users",
        "middlewares.users.basicauth.users": "joe:$2y$05$EnM8cM7DtSb4CCv5o1YQSuTAXVaWDSa0Far6l79NUgYd9os.jROce",
    },
    "stamped": {
        "routers.stamped.rule": "Host(`stamped.test`)",
        "routers.stamped.middlewares": "stamp",
        "middlewares.stamp.headers.customresponseheaders.X-Stamp": "yes",
        "middlewares.stamp.headers.customrequestheaders.X-Asked": "through",
    },
    "canary": {"routers.canary.rule": "Host(`shop.test`) && Header(`X-Canary`, `always`)"},
    "moved": {
        "routers.moved.rule": "Host(`moved.test`)",
        "routers.moved.middlewares": "elsewhere",
        "middlewares.elsewhere.redirectregex.regex": "^http://moved\\.test(:[0-9]+)?/(.*)",
        "middlewares.elsewhere.redirectregex.replacement": "https://new.test/${2}",
    },
    "both": {
        "routers.one.rule": "Host(`one.test`)",
        "routers.one.priority": "10",
        "routers.two.rule": "PathPrefix(`/two`) || Path(`/zwei`)",
        "routers.two.priority": "1000",
        "routers.one.service": "both",
        "routers.two.service": "both",
    },
    "unnamed": {},  # has the default rule
    "off": {"routers.off.rule": "Host(`off.test`)"},
}
QUESTIONS: list[tuple[str, str, dict[str, str]]] = [
    ("shop.test", "/", {}),
    ("SHOP.test", "/a/b?c=d", {}),
    ("shop.test", "/api/v1?x=y", {}),
    ("shop.test", "/apix", {}),
    ("intern.test", "/", {}),
    ("login.test", "/", {}),
    ("stamped.test", "/", {}),
    ("shop.test", "/", {"X-Canary": "always"}),
    ("moved.test", "/a?b=c", {}),
    ("one.test", "/", {}),
    ("shop.test", "/two/x", {}),
    ("nobody.test", "/zwei", {}),
    ("unnamed.test", "/", {}),
    ("off.test", "/", {}),
    ("nobody.test", "/", {}),
]
HEADERS = ("location", "www-authenticate", "x-stamp", "x-everywhere", "x-path")
# docs/migration.md, "Requests that are decided differently": GET is redirected by 308 and 307, as other methods are.
REDIRECTS = {301: 308, 302: 307}


@pytest.fixture
def ten(lab: Lab) -> dict[str, Service]:
    """Ten services with Traefik's labels, each with a published port."""
    lab.network("edge")
    made = {}
    for number, (name, labels) in enumerate(SERVICES.items()):
        port = {f"services.{name}.loadbalancer.server.port": "8080"}
        own = {f"traefik.http.{key}": value for key, value in (labels | port).items()}
        if name == "off":
            own["traefik.enable"] = "false"
        made[name] = lab.service(
            name,
            replicas=2 if name == "shop" else 1,
            networks=["edge"],
            publish=[ingress_port(8080, FIRST_PORT + number)],
            labels=own,
            wait=False,
        )
    for service in made.values():
        service.wait(90)
    return made


@contextmanager
def traefik(place: Attached, static: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Traefik with its own Swarm provider, at the address that clients know."""
    process = place.popen(str(TRAEFIK), f"--configFile={static}", cwd=static.parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def settings_beside(static: Path, directory: Path, lab: Lab) -> dict[str, Any]:
    """What `lbgen migrate traefik` prints, and what its comments leave to decide: other ports, the way to servers."""
    printed = run("migrate", "traefik", "--static", str(static))
    assert printed.exit_code == 0, printed.stderr
    settings: dict[str, Any] = yaml.safe_load(printed.stdout)
    assert settings["listeners"]["old"]["redirect"] == {"to": "web", "scheme": "http"}
    assert settings["listeners"]["web"]["trusted_proxies"] == ["10.99.0.0/16"]
    assert settings["discovery"]["traefik"]["entrypoints"]["web"] == {"http": {"middlewares": ["everywhere@file"]}}
    assert settings["source"]["docker"]["endpoints"] == [f"unix://{lab.manager.socket}"]
    settings["listeners"]["web"] |= {"bind": f":{BESIDE}", "public_port": WEB}
    settings["listeners"]["old"] |= {"bind": f":{OLD_BESIDE}"}
    settings["discovery"] |= {"nodes": "node.role==worker"}  # a machine does not reach the mesh through itself here
    settings["discovery"]["traefik"]["via"] = "mesh"
    settings["source"]["docker"]["control_socket"] = str(lab.manager.control_socket)
    settings["targets"]["edge"]["output"] = str(directory / "edge")
    settings["status"] = {"bind": ""}
    return settings


def answer(place: str, port: int, question: tuple[str, str, dict[str, str]]) -> tuple[object, ...]:
    """What a client sees of one answer, but for who gives it."""
    host, path, headers = question
    found = probe.get("127.0.0.1", port, path, host=host, headers=headers, netns=place)
    status = REDIRECTS.get(found.status, found.status) if port in (WEB, OLD) else found.status
    realm = found.headers.get("www-authenticate", "").partition(" ")[0]
    return status, *(found.headers.get(name, "") if name != "www-authenticate" else realm for name in HEADERS)


def responders(place: str, port: int, host: str, path: str = "/") -> set[str]:
    """Who answers."""
    return {probe.get("127.0.0.1", port, path, host=host, netns=place).app for _ in range(24)}


def ready(place: str, port: int, ten: dict[str, Service]) -> None:
    """Wait until a proxy has all services."""

    def served() -> bool:
        known = {name: probe.get("127.0.0.1", port, host=f"{name}.test", netns=place).status for name in ten}
        wanted = {"intern": 403, "login": 401, "off": 404, "api": 404, "canary": 404, "both": 404}
        found = {name: status for name, status in known.items() if name not in ("moved", *wanted)}
        if set(found.values()) != {200} or any(known[name] != status for name, status in wanted.items()):
            raise LabError(str(known))
        return True

    wait_for(served, 60, f"port {port} to serve everything")


def test_a_move_from_traefik(lab: Lab, ten: dict[str, Service], tmp_path: Path, short_dir: Path) -> None:
    """Both answer alike, and while clients are brought from one to the other none of them notices."""
    static = tmp_path / "traefik.yml"
    dynamic = tmp_path / "dynamic.yml"
    dynamic.write_text(DYNAMIC)
    static.write_text(STATIC.format(web=WEB, old=OLD, api=API, socket=lab.manager.socket, dynamic=dynamic))
    with ExitStack() as stack:
        place = stack.enter_context(lab.attached("edge"))
        stack.enter_context(lab.mesh())
        original = stack.enter_context(traefik(place, static))
        lbgen = Sidecar(short_dir, place.netns, settings_beside(static, short_dir, lab))
        lbgen.start()
        stack.callback(lambda: print(lbgen.log))
        stack.callback(lbgen.stop)
        for port in (WEB, BESIDE):
            ready(place.netns, port, ten)

        workers = [node.address for name, node in lab.nodes.items() if name != "n1"]
        mesh = {server.partition(" ")[0] for server in lbgen.servers("shop.http.shop").values()}
        assert mesh == {f"{worker}:{FIRST_PORT}" for worker in workers}
        answers = [[answer(place.netns, port, question) for question in QUESTIONS] for port in (WEB, BESIDE)]
        differing = [item for item in zip(QUESTIONS, *answers, strict=True) if item[1] != item[2]]
        assert differing == []
        for port in (WEB, BESIDE):
            told = probe.get("127.0.0.1", port, "/headers", host="stamped.test", netns=place.netns).body.lower()
            assert {"x-entry: web", "x-asked: through"} <= set(told.splitlines()), told
        for port in (OLD, OLD_BESIDE):
            status, location, *_ = answer(place.netns, port, ("shop.test", "/a?b", {}))
            assert (status, location) == (308, f"http://shop.test:{WEB}/a?b")
        for port in (WEB, BESIDE):
            for name in ("shop", "stamped", "unnamed"):
                assert responders(place.netns, port, f"{name}.test") == set(ten[name].responders())
            assert responders(place.netns, port, "shop.test", "/api/x") == set(ten["api"].responders())

        clients = lab.nodes["n1"].netns
        address = place.run("sh", "-c", "ip -4 -o address show eth1").split()[3].partition("/")[0]
        with Traffic(f"http://{address}:{WEB}/", host="shop.test", netns=clients) as traffic:
            traffic.wait_for(lambda result: result.ok > 200, what="Traefik to be under load")
            # docs/migration.md, step 5: open connections stay with Traefik, new ones come to lbgen.
            rule = ("PREROUTING", "-p", "tcp", "--dport", str(WEB), "-j", "REDIRECT", "--to-port", str(BESIDE))
            place.run("iptables", "-t", "nat", "-A", *rule)
            before = traffic.result.ok
            traffic.wait_for(lambda result: result.ok > before + 200, what="traffic to go on")
            # Step 6: a server that ends closes connections that may just carry a request, so it ends without any.
            connections = ("ss", "-Htn", "state", "established", "sport", "=", f":{WEB}")
            wait_for(lambda: not place.run(*connections).strip(), 30, "Traefik to have no connections left")
            original.terminate()
            assert original.wait(20) == 0
            before = traffic.result.ok
            traffic.wait_for(lambda result: result.ok > before + 400, what="lbgen to be alone")
        assert not traffic.result.failed, traffic.result
        assert set(traffic.result.responders) == set(ten["shop"].responders())
