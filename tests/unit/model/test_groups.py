"""Services of one group: one backend, each service with its share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.model import Builder, Model
from lbgen.model.guards import Guards
from tests.support.builders import (
    Fact,
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    modelled,
)

AROUND: list[Fact] = [a_node(), a_network()]


def own_backends(model):
    """The backends of services; those that refuse are not among them."""
    return [backend for backend in model.backends if backend.service]


def of(name: str, tasks: int, **keys: object) -> list[Fact]:
    """A service of group shop, as old as its name is early, with that many tasks."""
    number = ord(name[-1])
    written = {
        "group": "shop",
        "port": 8080,
        **{key.replace("__", ".").replace("_", "-"): value for key, value in keys.items()},
    }
    service = a_service(name, written, created_at=f"2026-11-22T10:00:{number % 60:02}Z", networks=("edge-id",))
    addresses = [{"edge-id": f"10.{number}.0.{slot}"} for slot in range(1, tasks + 1)]
    return [service, *(a_task(name, slot, addresses=address) for slot, address in enumerate(addresses, 1))]


def model(*services: list[Fact]) -> Model:
    """The model of these services."""
    return modelled(*AROUND, *(fact for service in services for fact in service))


def shares(found: Model) -> dict[str, float]:
    """The share of the requests that each service gets."""
    (backend,) = own_backends(found)
    weights: dict[str, int] = {}
    for server in backend.servers:
        name = server.name.partition(".")[0]
        weights[name] = weights.get(name, 0) + server.weight
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def test_canary():
    """A service that says nothing but its share joins the other's routes, whatever the number of its tasks."""
    found = model(
        of("web-a", 9, host="shop.example.org", weight=90, health_check__path="/up"), of("web-b", 1, weight=10)
    )
    assert found.problems == ()
    assert [(route.service, route.backend) for route in found.routes] == [("web-a", "shop.group")]
    assert [(backend.name, backend.service) for backend in own_backends(found)] == [("shop.group", "web-a")]
    assert shares(found) == {"web-a": 0.9, "web-b": 0.1}


def test_the_older_leads_even_if_it_says_less():
    """Who says which requests it wants leads; without anybody the oldest does."""
    found = model(of("web-a", 1), of("web-b", 1, host="shop.example.org"))
    assert [route.service for route in found.routes] == ["web-b"]
    found = model(of("web-a", 1), of("web-b", 1))
    assert [(route.service, route.alternatives) for route in found.routes] == [("web-a", ((),))]


def test_blue_and_green():
    """Both carry all labels, one has weight 0: no request for it, and no problem to report."""
    labels = {"host": "shop.example.org", "balance": "least-conn"}
    found = model(of("web-a", 2, weight=0, **labels), of("web-b", 2, weight=100, **labels))
    assert found.problems == ()
    assert shares(found) == {"web-a": 0.0, "web-b": 1.0}
    (backend,) = own_backends(found)
    assert sorted({server.weight for server in backend.servers}) == [0, 100]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 256)), min_size=2, max_size=4))
def test_shares(services):
    """Every service gets its weight's share, as finely as whole numbers up to 256 can say it."""
    found = model(*(of(f"web-{'abcd'[index]}", tasks, weight=weight) for index, (tasks, weight) in enumerate(services)))
    (backend,) = own_backends(found)
    assert all(1 <= server.weight <= 256 for server in backend.servers)
    ratios = {f"web-{'abcd'[index]}": weight / tasks for index, (tasks, weight) in enumerate(services)}
    largest = max(ratios.values())
    scale = max(server.weight for server in backend.servers)
    for server in backend.servers:
        exact = scale * ratios[server.name.partition(".")[0]] / largest
        assert abs(server.weight - exact) <= 0.5 or (server.weight == 1 and exact < 1)


def test_routes_of_their_own():
    """A member that asks for requests of its own has them sent to the group."""
    found = model(of("web-a", 1, host="a.example.org"), of("web-b", 1, host="b.example.org"))
    assert {(route.service, route.backend) for route in found.routes} == {
        ("web-a", "shop.group"),
        ("web-b", "shop.group"),
    }
    assert [cell.backend for cell in found.listeners[0].cells] == ["shop.group", "shop.group"]


def test_settings_of_the_leader():
    """A member that asks for other settings is told whose hold."""
    found = model(of("web-a", 1, host="a.example.org"), of("web-b", 1, balance="source", timeout__response="5s"))
    (problem,) = found.problems
    assert problem.service == "web-b"
    assert "led by service web-a" in problem.message
    assert "(balance, timeout.response)" in problem.message


@pytest.mark.parametrize("guarded_leads", [True, False])
@pytest.mark.parametrize(
    "guard",
    [
        {"allow_ip": "192.0.2.0/24"},
        {"basic_auth": "staff"},
        {"deny_ip": "192.0.2.1"},
        {"rate_limit": "5/m"},
        {"max_concurrent": 3},
        {"max_body": "1k"},
    ],
)
def test_what_is_guarded_stays_guarded(guard, guarded_leads):
    """All routes lead to the one backend, which has the guard, whichever leads; the other is told."""
    keys = {"web-a": {}, "web-b": {}, ("web-a" if guarded_leads else "web-b"): guard}
    found = model(*(of(name, 1, host=f"{name}.example.org", **own) for name, own in keys.items()))
    assert found.problems == ()
    assert [(route.service, route.backend) for route in found.routes] == [
        ("web-a", "shop.group"),
        ("web-b", "shop.group"),
    ]
    alone = model([*of("web-c", 1, host="c.example.org", group="alone", **guard)])
    assert Guards.of(own_backends(found)[0]) == Guards.of(own_backends(alone)[0]) != Guards()
    (remark,) = found.remarks
    assert remark.service == ("web-b" if guarded_leads else "web-a")
    assert next(iter(guard)).replace("_", "-") in remark.message


@pytest.mark.parametrize(
    ("this", "other", "key"),
    [
        ({"basic_auth": "staff"}, {"basic_auth": "others"}, "basic-auth"),
        ({"rate_limit": "1/s"}, {"rate_limit": "60/m"}, "rate-limit"),
        ({"max_concurrent": 3}, {"max_concurrent": 3, "max_concurrent__by": "host"}, "max-concurrent"),
    ],
)
def test_guards_that_cannot_be_added(this, other, key):
    """The younger service has no part in the group: neither its servers nor its requests; a third one has."""
    found = model(
        of("web-a", 1, host="a.example.org", **this),
        of("web-b", 1, host="b.example.org", **other),
        of("web-c", 1, host="c.example.org"),
    )
    assert [route.service for route in found.routes] == ["web-a", "web-c"]
    assert [server.name for server in own_backends(found)[0].servers] == ["web-a.1", "web-c.1"]
    (problem,) = found.problems
    assert problem.service == "web-b"
    assert f"older services of group shop (web-a): {key} " in problem.message


def test_an_older_stranger_leads():
    """Its requests reach the servers of a guarded service only as that one's labels allow."""
    found = model(
        of("web-a", 1, host="evil.example.org", weight=1, strip_prefix="/x"),
        of("web-b", 1, host="bank.example.org", allow_ip="192.0.2.0/24", basic_auth="staff"),
    )
    assert {route.service for route in found.routes} == {"web-a", "web-b"}
    policy = own_backends(found)[0].policy
    assert (policy.allow, policy.users, policy.strip_prefixes) == (("192.0.2.0/24",), "staff", ("/x",))
    assert [(remark.service, remark.message) for remark in found.remarks] == [
        ("web-a", "guards of a group add up: those of web-b hold for group shop here, too (allow-ip, basic-auth)"),
        ("web-b", "group shop is led by service web-a, whose settings hold here, too: strip-prefix"),
    ]


TLS = a_rules(a_listener(), a_listener("secure", 443, tls=True))


def test_client_certificates_of_a_group():
    """All routes of the group ask for them; one that asks for requests that have none cannot be in it."""
    authority = {"host": "b.example.org", "client_ca": "partners"}
    found = modelled(
        *AROUND, *of("web-a", 1, host="a.example.org", listener="secure"), *of("web-b", 1, **authority), rules=TLS
    )
    assert [(route.service, route.client_ca) for route in found.routes] == [
        ("web-a", "partners"),
        ("web-b", "partners"),
    ]
    secure = next(listener for listener in found.listeners if listener.tls)
    assert [(item.host, item.client_ca) for item in secure.hosts] == [
        ("a.example.org", "partners"),
        ("b.example.org", "partners"),
    ]
    for keys in ({"host": "a.example.org"}, {"path": "/a", "listener": "secure"}):
        found = modelled(*AROUND, *of("web-a", 1, **keys), *of("web-b", 1, **authority), rules=TLS)
        assert [route.service for route in found.routes] == ["web-a"]
        assert [server.name for server in own_backends(found)[0].servers] == ["web-a.1"]
        assert [problem.service for problem in found.problems] == ["web-b"]


def test_settings_of_another_dialect():
    """Services of docker-flow-proxy's share a backend as well, and are told of their settings as keys of lbgen's."""
    facts = list(AROUND)
    for number, (name, labels) in enumerate({"a": {}, "b": {"timeoutServer": "30", "usersSecret": "staff"}}.items()):
        written = {"notify": "true", "port": "80", "servicePath": f"/{name}", "serviceGroup": "shop", **labels}
        service = a_service(
            name,
            labels={f"com.df.{key}": value for key, value in written.items()},
            networks=("edge-id",),
            created_at=f"2026-11-2{number}T00:00:00Z",
        )
        facts += [service, a_task(name, addresses={"edge-id": f"10.0.0.{number}"})]
    found = modelled(*facts, rules=a_rules(dialects=("dockerflow",)))
    assert [route.service for route in found.routes] == ["a", "b"]
    assert own_backends(found)[0].policy.users == "staff"
    (problem,) = found.problems
    assert "here they differ (timeout.response)" in problem.message


def test_two_routes_of_one_service():
    """Its servers count once."""
    service = a_service(
        keys={"port": 80, "group": "shop", "http.a.host": "a.example.org", "http.b.host": "b.example.org"},
        networks=("edge-id",),
    )
    found = modelled(*AROUND, service, a_task(addresses={"edge-id": "10.0.0.1"}))
    assert [server.name for server in own_backends(found)[0].servers] == ["web.1"]
    assert {route.name for route in found.routes} == {"web.http.a", "web.http.b"}


def test_groups_of_two_protocols():
    """HTTP and TCP do not mix."""
    rules = a_rules(a_listener(), a_listener("pg", 5432, "tcp"))
    service = a_service(
        keys={"port": 80, "group": "shop", "http.a.host": "a.example.org", "tcp.b.listener": "pg"},
        networks=("edge-id",),
    )
    found = modelled(*AROUND, service, a_task(addresses={"edge-id": "10.0.0.1"}), rules=rules)
    assert [backend.name for backend in own_backends(found)] == ["shop.group", "shop.group-tcp"]


def test_a_redirect_shares_nothing():
    """It has no servers."""
    found = model(of("web-a", 1, host="a.example.org", redirect="https://b.example.org"))
    assert [problem.label for problem in found.problems] == ["lbgen.group"]


def test_what_did_not_change_is_the_same():
    """A group is joined again when one of its members has changed, and only then."""
    facts = [*AROUND, *of("web-a", 1, host="a.example.org"), *of("web-b", 1)]
    builder = Builder(a_rules())
    first = builder.build(a_snapshot(*facts))
    other = a_service("other", {"port": 80, "host": "o.example.org"}, networks=("edge-id",))
    second = builder.build(a_snapshot(*facts, other))
    assert second.backends[1] is first.backends[0]
    third = builder.build(a_snapshot(*facts[:-1]))
    assert [server.name for server in third.backends[0].servers] == ["web-a.1"]
