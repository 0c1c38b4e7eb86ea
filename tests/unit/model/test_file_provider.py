"""What Traefik's file provider would define, as labels name it (``NAME@file``): from settings to the model."""

from __future__ import annotations

import pytest
import yaml

from lbgen.labels.values.users import User
from lbgen.model import Model, build
from lbgen.report.reach import routed_services
from lbgen.settings import Settings
from lbgen.settings.traefik_files import TraefikFile
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.passwords import HASH

SETTINGS = f"""
discovery:
  dialects: [traefik]
  expose_by_default: true
  networks: [edge]
  traefik:
    middlewares:
      auth: {{basicAuth: {{users: ["anna:{HASH}"]}}}}
      Office: {{IPAllowList: {{sourceRange: [192.0.2.0/24, 198.51.100.0/24]}}}}
      api: {{stripPrefix: {{prefixes: [/api, /v1]}}}}
      guarded: {{chain: {{middlewares: [auth, office@file, api]}}}}
      loop: {{chain: {{middlewares: [loop]}}}}
      odd: {{plugin: {{x: {{secret: geheim}}}}}}
      depth: {{forwardAuth: {{address: "http://login/", headerField: X}}}}
    services:
      nas: {{loadBalancer: {{servers: [{{url: "http://192.0.2.9:5000"}}], healthCheck: {{path: /up}}}}}}
      plain: {{loadBalancer: {{servers: [{{url: "http://192.0.2.9:5000"}}]}}}}
      split: {{weighted: {{services: [{{name: plain, weight: 3}}, {{name: app@swarm, weight: 1}}]}}}}
      mixed: {{weighted: {{services: [{{name: nas}}, {{name: app@swarm}}]}}}}
      safe: {{failover: {{service: nas, fallback: app@swarm}}}}
      copied: {{mirroring: {{service: nas, mirrors: [{{name: app@swarm, percent: 10}}]}}}}
      web: {{loadBalancer: {{servers: [{{url: "http://shop:80"}}]}}}}
      verified: {{loadBalancer: {{serversTransport: sure, servers: [{{url: "https://192.0.2.9"}}]}}}}
      trusting: {{loadBalancer: {{serversTransport: unsure@file, servers: [{{url: "https://192.0.2.9"}}]}}}}

    tcp_middlewares: {{few: {{inFlightConn: {{amount: 2}}}}}}
listeners: {{web: {{bind: ":80"}}, pg: {{bind: ":5432", protocol: tcp}}}}
default_listeners: [web, pg]
"""
FILE = """
http:
  serversTransports:
    sure: {serverName: nas.internal, rootCAs: [/etc/ca/Internal.crt]}
    unsure: {insecureSkipVerify: true}
"""
FACTS = [a_network("edge"), a_node()]


def model(*, claims: str = "[]", **labels: str) -> Model:
    """The model of service app with router app and these labels, beside a service shop; each has two tasks."""
    own = {"traefik.http.routers.app.rule": "Host(`a.org`)"}
    if not labels.get("http__routers__app__service", "").startswith(("nas", "web", "ver", "trust")):
        own["traefik.http.services.app.loadbalancer.server.port"] = "80"
    own |= {f"traefik.{name.replace('__', '.')}": value for name, value in labels.items()}
    facts = [*FACTS, a_service("app", None, labels=own, networks=("edge-id",))]
    facts.append(a_service("shop", None, labels={"traefik.enable": "false"}, networks=("edge-id",)))
    for number, name in enumerate(("app", "shop")):
        facts += [a_task(name, slot, addresses={"edge-id": f"10.0.{number}.{slot}"}) for slot in (1, 2)]
    document = yaml.safe_load(SETTINGS) | {"claims": yaml.safe_load(claims)}
    document["discovery"]["traefik"]["files"] = [TraefikFile(path="dynamic.yml", content=yaml.safe_load(FILE))]
    settings = Settings.model_validate(document)
    return build(a_snapshot(*facts), settings.rules())


def served(found: Model, name: str = "app.http.app"):
    """The backend of a route without a problem."""
    assert [str(problem) for problem in found.problems] == []
    return next(backend for backend in found.backends if backend.name == name)


def test_middlewares():
    """Middlewares of settings mean what those of labels mean, in chains as well."""
    for names in ("auth@file,Office@file,api@file", "guarded@file"):
        found = model(http__routers__app__middlewares=names)
        policy = served(found).policy
        assert policy.allow == ("192.0.2.0/24", "198.51.100.0/24")
        assert [users.users for users in found.users] == [(User("anna", HASH),)]
        assert policy.users == found.users[0].name


@pytest.mark.parametrize(
    ("names", "says", "status"),
    [
        ("atuh@file", "did you mean auth, which setting discovery.traefik defines?", 403),
        ("nothing@file", "which nothing defines; define it in a file that setting discovery", 403),
        ("loop@file", "leads to middleware loop again", 403),
        ("odd@file", "is a plugin of Traefik's", 403),
        ("depth@file", "tells the server who came in", 403),
        ("auth", "names middleware auth, which nothing defines", 403),
    ],
)  # fmt: skip
def test_closed(names, says, status):
    """What is not defined, or cannot be honoured, closes the router; no secret is told."""
    found = model(http__routers__app__middlewares=names)
    assert any(says in problem.what for problem in found.problems), found.problems
    assert [item.status for item in found.closed] == [status]
    assert "geheim" not in str(found.problems)
    assert all(
        "discovery.traefik.middlewares." in problem.label or "label" in str(problem) for problem in found.problems
    )


@pytest.mark.parametrize(
    ("service", "servers"),
    [
        ("nas@file", {"192.0.2.9:5000": (100, False)}),
        ("split@file", {"192.0.2.9:5000": (256, False), "10.0.0.1:80": (43, False), "10.0.0.2:80": (43, False)}),
        ("web@file", {"10.0.1.1:80": (100, False), "10.0.1.2:80": (100, False)}),
    ],
)
def test_services(service, servers):
    """A router leads to addresses of settings, and to tasks, each with its share."""
    backend = served(model(http__routers__app__service=service))
    assert {f"{each.address}:{each.port}": (each.weight, each.backup) for each in backend.servers} == servers


def test_failover():
    """A fallback is standby; that it has the same health check is told."""
    found = model(http__routers__app__service="safe@file")
    (problem,) = found.problems
    assert "is taken, and service app is asked for /up, too" in problem.message
    servers = {server.address: server.backup for server in found.servers}
    assert servers == {"192.0.2.9": False, "10.0.0.1": True, "10.0.0.2": True}


def test_unlike_checks():
    """Servers of services with different health checks are not checked: nobody can tell which one would hold."""
    found = model(http__routers__app__service="mixed@file")
    assert ["differ in their health checks" in problem.message for problem in found.problems] == [True]
    assert [backend.health_check for backend in found.backends if backend.name == "app.http.app"] == [None]


def test_routed():
    """An address is no service that gets traffic."""
    assert routed_services(model(http__routers__app__service="nas@file"), ["web"]) == {"app"}


def test_checked():
    """The health check of a service of settings is that of the route."""
    check = served(model(http__routers__app__service="nas@file")).health_check
    assert check is not None
    assert (check.kind, check.path) == ("http", "/up")


@pytest.mark.parametrize(
    ("service", "expected"), [("verified@file", ("Internal", "nas.internal")), ("trusting@file", ("", "a.org"))]
)
def test_transports(service, expected):
    """Who vouches for servers is what the transport of a file says."""
    backend = served(model(http__routers__app__service=service))
    assert (backend.server_ca, backend.server_name) == expected


def test_mirror():
    """Copies go to the Swarm service that a mirror leads to; not to the router's own."""
    (problem,) = model(http__routers__app__service="copied@file").problems
    assert "is the route's own service" in problem.message


def test_tcp():
    """Middlewares of TCP routers have a section of their own."""
    found = model(
        tcp__routers__db__rule="HostSNI(`*`)",
        tcp__routers__db__middlewares="few@file",
        tcp__routers__db__service="db",
        tcp__services__db__loadbalancer__server__port="5432",
    )
    assert served(found, "app.tcp.db").policy.concurrency is not None


def test_claims():
    """A fixed address is the operator's, and allowed as far as a claim allows its port."""
    assert served(model(http__routers__app__service="nas@file", claims="[{ports: ['5000-5001']}]")).servers
    found = model(http__routers__app__service="nas@file", claims="[{ports: ['80']}]")
    assert [problem.service for problem in found.problems] == ["app"]
    assert found.servers == ()
