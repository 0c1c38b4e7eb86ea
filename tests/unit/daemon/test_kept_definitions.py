"""Labels change whole across services: a definition is kept while a new one would close routes of those who use it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lbgen.daemon.kept_labels import KeptLabels
from lbgen.model import Builder, Model
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_network, a_node, a_rules, a_service, a_snapshot, a_task
from tests.support.passwords import HASH

RULES = a_rules(dialects=("lbgen", "traefik"))
Labels = Mapping[str, str]
LIMIT = {"http.middlewares.m.ratelimit.average": "10"}
AUTH = {"http.middlewares.m.basicauth.users": f"bob:{HASH}"}
SERVICE = {"http.services.s.loadbalancer.server.port": "80"}
USES = {"http.routers.shop.rule": "Host(`shop.org`)", "http.routers.shop.middlewares": "m"}
LEADS = {"http.routers.shop.rule": "Host(`shop.org`)", "http.routers.shop.service": "s"}


class Site:
    """The loop, as far as labels are concerned."""

    def __init__(self) -> None:
        self.kept, self.builder = KeptLabels(clock=lambda: 0.0), Builder(RULES)

    def round(self, **services: Labels) -> Model:
        """One round with these services, the first the oldest."""
        served = self.kept.whole(self.snapshot(services), RULES)
        model = self.builder.build(served)
        self.kept.accept(served, self.builder)
        return model

    @staticmethod
    def snapshot(services: Mapping[str, Labels]) -> Snapshot:
        """Services with these labels, and a task each."""
        facts: list[Fact] = [a_node(), a_network("edge")]
        for number, (name, said) in enumerate(services.items()):
            labels = {f"traefik.{key}": value for key, value in {"enable": "true", **said}.items()}
            created = f"2026-11-22T10:{number:02}:00Z"
            facts.append(a_service(name, labels=labels, networks=("edge-id",), created_at=created))
            facts.append(a_task(name, addresses={"edge-id": f"10.0.0.{number + 1}"}))
        return a_snapshot(*facts)


@pytest.mark.parametrize(
    ("edge", "changed", "shop"),
    [
        (LIMIT, {"http.middlewares.m.ratelimit.average": "many"}, USES),
        (LIMIT, {}, USES),
        (AUTH, {"http.middlewares.n.basicauth.users": f"bob:{HASH}"}, USES),
        (LIMIT, LIMIT | {"enable": "false"}, USES),
        (SERVICE, {"http.services.s.loadbalancer.server.port": "x"}, LEADS),
        (SERVICE, {"http.services.t.loadbalancer.server.port": "80"}, LEADS),
    ],
    ids=["mistake", "gone", "renamed", "disabled", "port", "service renamed"],
)
def test_kept(edge, changed, shop):
    """A change that would close another service's route is not in force, and a problem names that service."""
    site = Site()
    before = site.round(edge=edge, shop=SERVICE | shop if shop is USES else shop)
    assert [route.name for route in before.routes] == ["shop.http.shop"]
    after = site.round(edge=changed, shop=SERVICE | shop if shop is USES else shop)
    assert after.routes == before.routes
    assert list(site.kept.kept) == ["edge"]
    assert any("would close routes of service shop" in problem.message for problem in site.kept.problems)
    site.round(edge=edge, shop=SERVICE | shop if shop is USES else shop)
    assert not site.kept.kept


def test_a_guard_that_is_added_holds_at_once():
    """What guards more is in force, closed where it cannot be honoured."""
    site = Site()
    site.round(edge=LIMIT, shop=SERVICE | USES)
    model = site.round(edge={"http.middlewares.m.digestauth.users": "x"}, shop=SERVICE | USES)
    assert [(item.name, item.status) for item in model.closed] == [("shop.http.shop", 403)]
    assert not site.kept.kept


def test_an_older_service_takes_a_name():
    """A service that would take a name from a newer one, and so close its routes, does not."""
    site = Site()
    site.round(edge=SERVICE, shop=SERVICE | AUTH | USES)
    model = site.round(edge=SERVICE | LIMIT, shop=SERVICE | AUTH | USES)
    assert not model.closed
    assert list(site.kept.kept) == ["edge"]


def test_what_others_go_on_using_is_there_for_those_who_change():
    """A service that names what only labels define that are not in force keeps its own, too."""
    site = Site()
    site.round(edge=LIMIT, shop=SERVICE | USES, blog=SERVICE | {"http.routers.blog.rule": "Host(`blog.org`)"})
    new = {"http.routers.blog.rule": "Host(`blog.org`)", "http.routers.blog.service": "new"}
    model = site.round(
        edge={"http.services.new.loadbalancer.server.port": "80"}, shop=SERVICE | USES, blog=SERVICE | new
    )
    assert sorted(site.kept.kept) == ["blog", "edge"]
    assert not model.closed


def test_gone_service():
    """What a service defined that is gone is gone: those who use it are closed, and told."""
    site = Site()
    site.round(edge=AUTH, shop=SERVICE | USES)
    model = site.round(shop=SERVICE | USES)
    assert [(item.name, item.status) for item in model.closed] == [("shop.http.shop", 403)]
