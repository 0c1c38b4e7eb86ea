"""Setting claims: which services may use which hosts, listeners, ports, keys and groups."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.labels.match import Test
from lbgen.labels.values.value_type import BadValue
from lbgen.model import Model
from lbgen.model.claims import group_scope, services, used_keys
from lbgen.model.routes import route_request
from lbgen.model.types import Backend, Claim
from tests.support.builders import (
    Fact,
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_task,
    ingress,
    modelled,
    parsed,
)
from tests.support.oracle import Request, holds

STACK = "com.docker.stack.namespace"
LISTENERS = (
    a_listener(),
    a_listener("secure", 443, tls=True),
    a_listener("pg", 5432, "tcp"),
    a_listener("dns", 53, "udp"),
)
VICTIM = Claim("stack==bank", hosts=("bank.test",))
TEAM = Claim("stack==team", hosts=("team.test", "*.team.test"))


def of(name: str, number: int, keys: dict[str, object], stack: str = "team", **facts: object) -> list[Fact]:
    """A service of a stack with one task; the lower its number, the older it is."""
    service = a_service(name, {"port": 8080, **keys}, created_at=f"2026-11-22T10:00:{number:02}Z", **facts)
    service.labels[STACK] = stack
    return [service, a_task(name, addresses={"edge-id": f"10.0.0.{number}"})]


def model(
    *services_: list[Fact], claims: tuple[Claim, ...] = (VICTIM, TEAM), dialects: tuple[str, ...] = ("lbgen",)
) -> Model:
    """The model of these services, each on network edge."""
    rules = a_rules(*LISTENERS, default_listeners=("web",), claims=claims, dialects=dialects, networks=("edge",))
    return modelled(a_node(), a_network(), *(fact for own in services_ for fact in own), rules=rules)


def on_edge(name: str, number: int, keys: dict[str, object], stack: str = "team") -> list[Fact]:
    """A service that the proxy reaches over network edge."""
    return of(name, number, keys, stack, networks=("edge-id",))


def routed(found: Model) -> set[str]:
    """The services that have a route."""
    return {route.service for route in found.routes}


TAKING: list[dict[str, object]] = [
    {"host": "bank.test"},
    {"host": "bank.test", "priority": 1_000_000},
    {"path": "/", "priority": 1_000_000},
    {},
    {"host": "bank.test", "path": "/"},
    {"host": "team.test,bank.test"},
    {"rule": "!Host(`team.test`)"},
    {"rule": "HostRegexp(`^bank[.]test$`)"},
    {"rule": "Host(`team.test`) || PathPrefix(`/login`)"},
    {"rule": "HostRegexp(`^team.test$`)"},
    {"host": "*.test", "priority": 900},
    {"host": "a.b.team.test"},
    {"host": "bank.test", "method": "GET,POST"},
    {"header-regex.cookie": ".*"},
    {"client-ip": "0.0.0.0/0"},
    {"host": "bank.test", "redirect": "https://evil.test{path}", "priority": 9999},
    {"path-exact": "/login"},
    {"tcp.x.listener": "pg", "tcp.x.priority": 1_000_000},
    {"tcp.x.listener": "pg", "tcp.x.sni": "bank.test,team.test"},
    {"udp.x.listener": "dns"},
]


@pytest.mark.parametrize("keys", TAKING, ids=str)
def test_no_other_host(keys):
    """Whatever could match a host that is not the service's is a problem of it, and not there for anybody."""
    victim = on_edge("bank", 1, {"host": "bank.test"}, "bank")
    found = model(victim, on_edge("evil", 2, keys))
    assert routed(found) == {"bank"}
    assert [problem.service for problem in found.problems] == ["evil"]
    assert "claims.1 has hosts team.test, *.team.test, not " in found.problems[0].message
    alone = model(victim)
    assert found.listeners == alone.listeners


@pytest.mark.parametrize(
    "keys",
    [
        {"host": "team.test"},
        {"host": "a.team.test,team.test,*.team.test"},
        {"host": "team.test", "path": "/a", "method": "GET", "priority": 100000},
        {"rule": "Host(`team.test`) && (PathPrefix(`/a`) || !Header(`a`, `b`))"},
        {"rule": "Host(`team.test`) || Host(`b.team.test`) && !Host(`a.team.test`)"},
        {"tcp.x.listener": "pg", "tcp.x.sni": "team.test"},
    ],
    ids=str,
)
def test_own_hosts(keys):
    """Everything that only asks for requests of the service's own hosts is allowed."""
    found = model(on_edge("team", 1, keys))
    assert (routed(found), found.problems) == ({"team"}, ())


HOSTS = st.sampled_from(["team.test", "a.team.test", "a.b.team.test", "bank.test", "*.team.test", "*.test"])
TESTS = st.one_of(
    st.builds(Test, st.just("host"), HOSTS, st.just(""), st.booleans()),
    st.builds(Test, st.just("method"), st.just("GET"), st.just(""), st.booleans()),
    st.builds(Test, st.just("path_prefix"), st.sampled_from(["/a", "/b"]), st.just(""), st.booleans()),
)


@given(st.lists(st.lists(TESTS, max_size=3).map(tuple), min_size=1, max_size=3))
def test_what_is_allowed_matches_own_hosts_only(alternatives):
    """For any alternatives: those that are allowed match no request of another host."""
    (spec,) = parsed({"host": "team.test", "port": 80}).routes
    decided = route_request(a_service("web"), spec, a_rules())
    route = replace(decided.route, alternatives=tuple(alternatives))
    try:
        group_scope(a_service("web"), spec, route, A_BACKEND, (Claim("", TEAM.hosts),))
    except BadValue:
        return
    for host in ("bank.test", "a.b.team.test", "test", "x.test", ""):
        for path in ("/", "/a", "/b"):
            request = Request(host, path)
            assert not any(all(holds(test, request) for test in alternative) for alternative in alternatives)


def test_no_entry():
    """A service that no entry is for may use nothing; without entries all may use everything."""
    keys = {"host": "a.test"}
    assert routed(model(on_edge("web", 1, keys), claims=())) == {"web"}
    found = model(on_edge("web", 1, keys, "other"))
    assert routed(found) == set()
    assert "no entry of setting claims is for this service" in found.problems[0].message


def test_one_entry_has_to_allow_all_of_it():
    """Two entries that each allow a part do not allow the whole; the message has both."""
    claims = (Claim("", hosts=("a.test",), listeners=("web",)), Claim("", hosts=("b.test",), listeners=("secure",)))
    assert routed(model(on_edge("web", 1, {"host": "b.test", "listener": "secure"}), claims=claims)) == {"web"}
    found = model(on_edge("web", 1, {"host": "a.test", "listener": "secure"}), claims=claims)
    assert routed(found) == set()
    (problem,) = found.problems
    assert problem.message.endswith("claims.0 has listeners web, not secure; claims.1 has hosts b.test, not a.test")
    assert (problem.label, problem.value) == ("lbgen.listener", "secure")


@pytest.mark.parametrize(
    ("claim", "keys", "label"),
    [
        (Claim(listeners=("web",)), {"listener": "web,secure"}, "lbgen.listener"),
        (Claim(ports=((80, 80), (8000, 8999))), {"port": 9000}, "lbgen.port"),
        (Claim(ports=((8080, 8080),)), {"health-check.port": 2375}, "lbgen.health-check.port"),
        (Claim(deny_keys=("priority",)), {"priority": 3}, "lbgen.priority"),
        (Claim(deny_keys=("health-check.*",)), {"health-check.method": "POST"}, "lbgen.health-check.method"),
        (Claim(deny_keys=("request-header.x-a",)), {"request-header.x-a": "1"}, "lbgen.request-header.x-a"),
        (Claim(deny_keys=("path-regex",)), {"rule": "PathRegexp(`^/a`)"}, ""),
        (Claim(keys=("host", "port")), {"host": "a.test", "path": "/a"}, "lbgen.path"),
        (Claim(groups=("team-*", "shop")), {"group": "bank"}, "lbgen.group"),
    ],
    ids=str,
)
def test_what_else_is_limited(claim, keys, label):
    """Listeners, ports of servers and checks, keys and groups."""
    found = model(on_edge("web", 1, keys), claims=(claim,))
    assert routed(found) == set()
    (problem,) = found.problems
    assert problem.label in (label, "lbgen.path-regex") if not label else problem.label == label


@pytest.mark.parametrize(
    ("claim", "keys"),
    [
        (Claim(listeners=("web", "secure")), {"listener": "web,secure"}),
        (Claim(ports=((80, 80), (8000, 8999))), {"port": 8001, "health-check.port": 80}),
        (Claim(keys=("host", "port", "request-header.*")), {"host": "a.test", "request-header.x-a": "1"}),
        (Claim(deny_keys=("request-header.x-b",)), {"request-header.x-a": "1"}),
        (Claim(groups=("team-*", "shop")), {"group": "team-a"}),
    ],
    ids=str,
)
def test_what_is_not_limited(claim, keys):
    """What an entry allows."""
    found = model(on_edge("web", 1, keys), claims=(claim,))
    assert (routed(found), found.problems) == ({"web"}, ())


def test_published_ports():
    """Through the mesh the proxy connects to the published port: that one counts."""
    facts = of("web", 1, {}, ports=(ingress(8080, 30080),))
    assert routed(model(facts, claims=(Claim(ports=((8080, 8080),)),))) == set()
    assert routed(model(facts, claims=(Claim(ports=((30080, 30080),)),))) == {"web"}


def test_keys_of_other_dialects():
    """They count as the keys that they become; rules as the keys that ask for the same tests."""
    labels = {
        "traefik.enable": "true",
        "traefik.http.routers.a.rule": "Host(`a.test`) && PathPrefix(`/a`)",
        "traefik.http.routers.a.middlewares": "x",
        "traefik.http.middlewares.x.headers.customrequestheaders.x-a": "1",
        "traefik.http.services.a.loadbalancer.server.port": "80",
    }

    def with_(claim: Claim, **more: str) -> Model:
        service = a_service(
            "web",
            labels={**labels, **{f"traefik.http.routers.a.{k}": v for k, v in more.items()}},
            networks=("edge-id",),
        )
        return model([service, a_task(addresses={"edge-id": "10.0.0.1"})], claims=(claim,), dialects=("traefik",))

    keys = ("host", "path", "port", "request-header.*")
    assert with_(Claim(keys=keys)).problems == ()
    assert routed(with_(Claim(keys=keys))) == {"web"}
    assert routed(with_(Claim(keys=keys), priority="7")) == set()
    assert routed(with_(Claim(deny_keys=("request-header.x-a",)))) == set()
    assert routed(with_(Claim(deny_keys=("rule",)))) == {"web"}
    assert routed(with_(Claim(deny_keys=("rule",)), rule="!Host(`a.test`)")) == set()
    assert routed(with_(Claim(hosts=("b.test",)))) == set()


def test_groups_of_an_entry():
    """Without `groups` a name is a group among the entry's own services; with it everybody's who may use it."""
    bank = on_edge("bank", 1, {"host": "bank.test", "group": "shop"}, "bank")
    team = on_edge("team", 2, {"host": "team.test", "group": "shop"})
    canary = on_edge("canary", 3, {"host": "team.test", "group": "shop"})
    found = model(bank, team, canary)
    assert [(backend.name, len(backend.servers)) for backend in found.backends] == [
        ("shop.group-claim0", 1),
        ("shop.group-claim1", 2),
    ]
    shared = tuple(Claim(claim.services, claim.hosts, groups=("shop",)) for claim in (VICTIM, TEAM))
    found = model(bank, team, canary, claims=shared)
    assert [(backend.name, len(backend.servers)) for backend in found.backends] == [("shop.group", 3)]


def test_services():
    """By name, stack and label, exactly as they are written; all of several constraints."""
    service = a_service("shop_web", labels={STACK: "shop", "team": "A"})
    for text in ("", "name==shop_web", "stack==shop", "label.team==A", "stack == shop, name!=shop_db"):
        assert services(text)(service), text
    for text in ("stack==Shop", "label.team==a", "name!=shop_web", "stack==shop,name==x", "label.none==x"):
        assert not services(text)(service), text
    for text in ("stack=shop", "team==a", "label.==a", "stack==", "name==a &&"):
        with pytest.raises(BadValue):
            services(text)


def test_used_keys():
    """Those that are written, and of a rule those that ask for the same."""
    (spec,) = parsed({"rule": "Host(`a.test`) && !Method(`GET`)", "port": 80, "cors.origins": "*"}).routes
    request = route_request(a_service("web"), spec, a_rules())
    assert set(used_keys(spec, request.route)) == {"rule", "host", "port", "cors.origins"}


A_BACKEND = Backend("web", "web", "", "http", "task", (), "round-robin", 100, None, 1.0, 60.0, 60.0, 2, None, False)
