"""`labels.definitions`: what a name means, to which of the services that define it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.labels.definitions import Definition, Definitions, Key, Undefined
from lbgen.labels.foreign_options import Element, Written
from lbgen.labels.route_spec import Use
from lbgen.labels.traefik.elements import sort

KEY = ("http", "middlewares", "auth")
SERVICE = ("http", "services", "web")


def defined(service: str, key: Key = KEY, **options: str) -> Definition:
    """A definition; of an option's name ``_`` is a dot."""
    written = {name.replace("_", "."): Written(f"label {name}", value) for name, value in options.items()}
    return Definition(Element(*key, written), service)


OLD, SAME = defined("old", basicauth_users="a:b"), defined("same", basicauth_users=" a:b ")
OTHER = defined("other", basicauth_users="c:d")


@pytest.mark.parametrize("reference", ["auth", "auth@swarm", "auth@docker", " AUTH@Swarm "])
def test_of_any_service(reference):
    """A name is found whichever of the Swarm services defines it."""
    assert Definitions({KEY: (OLD,)}).find("http", "middlewares", reference, "asking") is OLD


def test_of_settings():
    """NAME@file is a setting's, and within settings NAME is."""
    setting = defined("", basicauth_users="x:y")
    names = Definitions({KEY: (OLD,)}, {KEY: setting})
    assert names.find("http", "middlewares", "auth@file", "asking") is setting
    assert names.find("http", "middlewares", "auth", provider="file") is setting
    assert names.find("http", "middlewares", "auth@swarm", provider="file") is OLD


def test_unlike():
    """Of unequal middlewares the oldest one has the name; who defines it otherwise may not use it."""
    names = Definitions({KEY: (OLD, SAME, OTHER)})
    for asking in ("old", "same"):
        assert names.find("http", "middlewares", "auth", asking) is OLD
    assert names.find("http", "middlewares", "auth", "another") == replace(OLD, against="other")
    with pytest.raises(Undefined, match="which services old and other define in two ways"):
        names.find("http", "middlewares", "auth")  # a setting's
    with pytest.raises(Undefined, match="which service old, which is older, defines otherwise"):
        names.find("http", "middlewares", "auth", "other")


def test_services_are_joined():
    """Equal services are one with all servers, wherever those listen; who has another one keeps it for itself."""
    old = defined("old", SERVICE, loadbalancer_server_port="80", loadbalancer_passhostheader="true")
    same = defined("same", SERVICE, loadbalancer_server_port="81", loadbalancer_passhostheader="true")
    other = defined("other", SERVICE, loadbalancer_server_port="80")
    names = Definitions({SERVICE: (old, same, other)})
    for asking in ("old", "same", "another"):
        found = names.find("http", "services", "web", asking)
        assert (found.service, [each.service for each in found.also]) == ("old", ["same"])
    found = names.find("http", "services", "web", "other")
    assert (found.service, found.also) == ("other", ())


def test_claims():
    """A name is first that of services with an entry for both; of others' middlewares only what all agree on counts."""
    entries = {"old": frozenset({0}), "same": frozenset({1}), "other": frozenset({1}), "asking": frozenset({1})}
    names = Definitions({KEY: (OLD, OTHER)}, entries=entries)
    assert names.find("http", "middlewares", "auth", "asking") is OTHER
    assert names.find("http", "middlewares", "auth", "other") is OTHER
    with pytest.raises(Undefined, match="which services old and other define in two ways"):
        names.find("http", "middlewares", "auth", "stranger")
    assert Definitions({KEY: (OLD, SAME)}, entries=entries).find("http", "middlewares", "auth", "stranger") is OLD


@pytest.mark.parametrize(
    ("reference", "message", "remedy"),
    [
        ("auht", "names middleware auht, which nothing defines", "did you mean auth, which service old defines?"),
        ("x", "names middleware x, which nothing defines", "define it among the labels of this service, or"),
        ("gone", "names middleware gone, which service idle defines, which takes no part: why", "have it take part"),
        (
            "auth@file",
            "names middleware auth@file, which nothing defines",
            "define it in a file that setting discovery.traefik.files names",
        ),
        ("auth@kv", "names middleware auth@kv, which is of provider kv, of which nothing is known here", "define it"),
    ],
)
def test_undefined(reference, message, remedy):
    """What nobody defines is told, with what was probably meant."""
    names = Definitions({KEY: (OLD,)}, absent={("http", "middlewares", "gone"): ("idle", "why")})
    with pytest.raises(Undefined) as told:
        names.find("http", "middlewares", reference)
    assert told.value.message == message
    assert told.value.remedy.startswith(remedy)
    answer = names.answer(Use("http", "middlewares", reference))
    assert answer == (message, told.value.remedy)


def test_a_misspelt_kind():
    """The kind of what a label names is not there: the one that is meant is told."""
    (broken,) = sort("web", {"traefik.http.service.web.loadbalancer.server.port": "80"}).broken
    assert (broken.message, broken.remedy) == (
        "is of a kind service, which there is not",
        "write services in its place",
    )
