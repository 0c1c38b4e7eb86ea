"""One mistake in a label is one message, and its remedy is one that the label's dialect understands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lbgen.base.problem import Problem, once
from lbgen.labels.dialects import DIALECTS, dialect_of, parse
from lbgen.labels.dockerflow.options import OPTIONS
from lbgen.labels.foreign_options import Left, Lost, Table
from lbgen.labels.keys.table import find, nearest
from lbgen.labels.rule import matchers
from lbgen.labels.traefik import middleware_options, options
from tests.support.foreign_labels import traefik_labels
from tests.support.mistakes import CONTEXT, WORKING, mistakes

# What a mistake leaves as it was: another name of an element is as good as the first, where nothing refers to it.
SILENT = {"missing", "name"}
# Any value of them means something: of `notify` all but false, and `tls` is true or not.
ANYTHING = {"com.df.notify", "traefik.http.routers.app.tls"}
LABEL = re.compile(r"\b(?:lbgen|traefik|com\.df)\.[A-Za-z0-9_.<>-]*[A-Za-z0-9_>]")
MEANT = re.compile(r"did you mean ([^ ?]+)\?")


@pytest.mark.parametrize("name", WORKING)
def test_working(name):
    """The labels that are broken here are good before."""
    labels = parse("shop", WORKING[name], CONTEXT)
    assert labels.problems == labels.closed == ()
    assert labels.routes


@pytest.mark.parametrize("name", WORKING)
def test_one_mistake_is_one_message(name):
    """Each label broken in each way: at most one problem, and one wherever something is lost."""
    for mistake in mistakes(name):
        said = mistake.said()
        found = [str(problem) for problem in once(said.problems)]
        assert len(found) <= 1, (str(mistake), found)
        if mistake.way not in SILENT and mistake.label not in ANYTHING and said.enabled:
            assert found, str(mistake)


def test_several_routes_are_one_message():
    """What is wrong for two routes by the same label is told once, of no route in particular."""
    two = [Problem("shop", "is bad", "mend it", "lbgen.x", "1", route) for route in ("a", "b")]
    other = Problem("shop", "is worse", "mend it", "lbgen.x", "1", "a")
    assert once([*two, other]) == (Problem("shop", "is bad", "mend it", "lbgen.x", "1"), other)


def told() -> Iterator[Problem]:
    """Every problem of every mistake."""
    for name in WORKING:
        for mistake in mistakes(name):
            yield from mistake.said().problems


def known(label: str, of: str) -> bool:
    """Tell whether a label that a remedy names exists in a dialect, or holds beside its labels."""
    dialect = dialect_of(label)
    if dialect == "lbgen":  # a short key holds beside the labels of all dialects
        key = label.removeprefix("lbgen.")
        return key == "enable" or find(re.sub(r"^(?:http|tcp|udp)\.[a-zA-Z0-9_-]+\.", "", key)) is not None
    if dialect != of:
        return False
    if dialect == "dockerflow":
        word = label.lower().removeprefix("com.df.").partition(".")[0]
        return word in (*OPTIONS, "notify", "name")
    return True


def test_remedies_name_labels_that_there_are():
    """A remedy names labels and options that the dialect of its label has."""
    asked = 0
    for problem in told():
        of = dialect_of(problem.label)
        for label in LABEL.findall(problem.remedy):
            asked += 1
            assert known(label, of), str(problem)
        for word in MEANT.findall(problem.remedy):
            asked += 1
            assert meant_in(word, of), str(problem)
    assert asked > 60


def meant_in(word: str, dialect: str) -> bool:
    """Tell whether a dialect has a word that a suggestion names."""
    if dialect == "lbgen":
        return nearest(word) == word
    if dialect == "dockerflow":
        return word.lower() in OPTIONS
    tables = [*options.TABLES.values(), *middleware_options.KINDS.values(), *middleware_options.TCP_KINDS.values()]
    kinds = {*middleware_options.KINDS, *middleware_options.TCP_KINDS}
    return any(word in table for table in tables) or word in kinds or word in matchers.MATCHERS["http"]


def rows() -> Iterator[tuple[str, Table]]:
    """The tables of all foreign dialects."""
    yield from (("traefik", table) for table in options.TABLES.values())
    yield from (("traefik", table) for table in middleware_options.KINDS.values())
    yield from (("traefik", table) for table in middleware_options.TCP_KINDS.values())
    yield "dockerflow", OPTIONS


def test_remedies_of_the_tables():
    """So do those of the tables, which no mistake has to be made for."""
    for dialect, table in rows():
        for option, meaning in table.items():
            if isinstance(meaning, Left | Lost):
                for label in LABEL.findall(meaning.remedy):
                    assert known(label, dialect), (option, label)


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        ({"http.routers.my.app.rule": "Host(`a.org`)"}, "write traefik.http.routers.my-app.rule"),
        (
            {"http.services.my.app.loadbalancer.server.port": "80"},
            "write traefik.http.services.my-app.loadbalancer.server.port",
        ),
        (
            {"http.middlewares.my.auth.basicauth.users": "x"},
            "write traefik.http.middlewares.my-auth.basicauth.users",
        ),
        ({"http.routers.app.host": "a.org"}, "did you mean rule?"),
        (
            {
                "http.routers.app.rule": "Host(`a.org`)",
                "http.routers.app.middlewares": "m",
                "http.middlewares.m.basicaut.users": "x",
            },
            "did you mean basicauth?",
        ),
        (
            {"http.routers.app.rule": "Host(`a.org`)", "http.services.app.loadbalancer.server.prot": "80"},
            "did you mean loadbalancer.server.port?",
        ),
        (
            {"http.routers.app.rule": "Host(`a.org`)", "http.services.app.loadbalancer.server.weird": "80"},
            "correct its name, or leave the service to Traefik",
        ),
        ({"http.services.app.port": "80", "http.routers.app.rule": "Host(`a.org`)"}, None),
    ],
)
def test_suggestions_for_traefik(labels, remedy):
    """What other programs or versions call it leads to Traefik's own word."""
    (problem,) = once(traefik_labels(labels).problems)
    assert problem.remedy == (remedy or "did you mean loadbalancer.server.port?")


def test_suggestion_in_a_rule():
    """Rules know the matchers of Traefik 1 and 2 by what they are called now."""
    (problem,) = parse("shop", {"lbgen.enable": "true", "lbgen.rule": "HostHeader(`a.org`)"}, CONTEXT).problems
    assert problem.remedy == "did you mean Host?"


def test_unused_middlewares_are_told_once():
    """A chain that no router names is told once, and not what it leads to."""
    labels = {
        "http.routers.app.rule": "Host(`a.org`)",
        "http.middlewares.all.chain.middlewares": "one,two",
        "http.middlewares.one.ratelimit.average": "1",
        "http.middlewares.one.ratelimit.burst": "1",
        "http.middlewares.two.compress": "true",
    }
    (problem,) = traefik_labels(labels).problems
    assert problem.message == "belongs to middleware all, which no router uses"


def test_labels_of_two_routers_that_look_like_one():
    """The remedy for a router without a rule is the router that has it, if their names are alike."""
    labels = {"http.routers.shop.rule": "Host(`a.org`)", "http.routers.shp.entrypoints": "web"}
    (problem,) = traefik_labels(labels).problems
    assert problem.label == "traefik.http.routers.shp.rule"
    assert problem.remedy == "write router shop if that is meant, or add the label, or set it"


def test_every_dialect_is_asked():
    """A new dialect has working labels here."""
    assert {dialect_of(label) for working in WORKING.values() for label in working} == {*DIALECTS}
