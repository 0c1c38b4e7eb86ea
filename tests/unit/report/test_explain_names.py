"""`lbgen explain` of what services share by names of Traefik's labels."""

from __future__ import annotations

from typing import Any

from lbgen.cli.explain_text import explanation_lines
from lbgen.model import build
from lbgen.render.credentials import Credentials
from lbgen.report.explain import Facts, explanation
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task

RULES = a_rules(dialects=("lbgen", "traefik"))
SERVICE = {"http.services.s.loadbalancer.server.port": "80"}
SERVICES = {
    "edge": {"http.middlewares.gate.ipallowlist.sourcerange": "192.0.2.0/24"},
    "blue": SERVICE | {"http.routers.r.rule": "Host(`a.org`)", "http.routers.r.middlewares": "gate@swarm"},
    "green": SERVICE | {"http.routers.r.rule": "Host(`a.org`)", "http.routers.r.middlewares": "gate@swarm"},
    "lost": SERVICE | {"http.routers.lost.rule": "Host(`b.org`)", "http.routers.lost.middlewares": "nobodys"},
}


def explained(name: str) -> dict[str, Any]:
    """The explanation of one of the services."""
    facts: list[Any] = [a_node(), a_network("edge")]
    for number, (service, said) in enumerate(SERVICES.items()):
        labels = {f"traefik.{key}": value for key, value in {"enable": "true", **said}.items()}
        created = f"2026-11-22T10:{number:02}:00Z"
        facts.append(a_service(service, labels=labels, networks=("edge-id",), created_at=created))
        facts.append(a_task(service, addresses={"edge-id": f"10.0.0.{number + 1}"}))
    snapshot = a_snapshot(*facts)
    return explanation(Facts(snapshot, build(snapshot, RULES), Credentials()), name)


def test_who_uses_a_definition():
    """A definition has the services that a change of it touches."""
    document = explained("edge")
    defined = {"protocol": "http", "kind": "middleware", "name": "gate", "used_by": ["blue", "green"]}
    assert document["defines"] == [defined]
    assert "  - middleware gate: used by blue, green" in list(explanation_lines(document))
    use = {row["label"]: row["use"] for row in document["labels"] if ".gate." in row["label"]}
    assert set(use.values()) == {"read"}, use


def test_what_a_service_uses():
    """Whose definitions they are, and who has the same."""
    uses = {use["name"]: use for use in explained("blue")["uses"]}
    assert uses["gate@swarm"]["service"] == "edge"
    assert (uses["s"]["service"], uses["s"]["also"]) == ("blue", ["green", "lost"])
    assert explained("blue")["routed"]


def test_a_route_of_an_older_service():
    """A router that an older service defines alike is told as that one's, and the service is routed by it."""
    document = explained("green")
    assert document["joined"] == [{"protocol": "http", "route": "r", "service": "blue"}]
    assert (document["routed"], document["why"]) == (True, [])
    assert "route r: service blue, which is older, asks for the same" in list(explanation_lines(document))


def test_what_nothing_defines():
    """A name that means nothing is told with the reason."""
    (use,) = (use for use in explained("lost")["uses"] if use["name"] == "nobodys")
    assert (use["service"], use["why"]) == ("", "names middleware nobodys, which nothing defines")
