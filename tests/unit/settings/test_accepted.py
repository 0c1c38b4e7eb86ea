"""What a hub may set at an edge: what a row allows, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from lbgen.base.errors import SettingsError
from lbgen.settings import Settings
from lbgen.settings.accepted import ALLOWED, SETTINGS, forbidden, lay_under, refuse

EVERYTHING = sorted(SETTINGS)
LONG_FORMS = ("listeners.*.tls", "listeners.*.access_log", "listeners.*.redirect")


def leaves(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield every key that the settings have; * stands for a name, or an entry of a list."""
    for name, field in model.model_fields.items():
        yield from leaves_of(field.annotation, f"{before}.{name}".lstrip("."))


def leaves_of(annotation: Any, key: str) -> Iterator[str]:
    """Yield the keys in one setting, or the setting itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from leaves(annotation, key)
        return
    many = get_origin(annotation) in (dict, list)
    parts = get_args(annotation)[1 if get_origin(annotation) is dict else 0 :]
    inner = [each for part in parts for each in leaves_of(part, f"{key}.*" if many else key)]
    sections = [each for each in inner if each not in (key, f"{key}.*")]
    yield from sections or [key]


KEYS = sorted({*leaves(Settings)})


def fragment_of(row: str) -> dict[str, Any]:
    """Settings that set this one key."""
    value: Any = "x"
    for part in reversed(row.split(".")):
        value = [value] if part == "*" and row.startswith("claims.") else {"web" if part == "*" else part: value}
    assert isinstance(value, dict)
    return value


def test_the_settings_keys_are_found() -> None:
    """Every depth of the settings is among them, so that the tests below are about all of them."""
    expected = {"source.docker.tls.key", "targets.*.binary", "listeners.*.access_log.to", "claims.*.hosts", "log.level"}
    assert expected <= set(KEYS)


@pytest.mark.parametrize("row", sorted({*KEYS} - {*ALLOWED}))
def test_a_key_without_a_row_is_forbidden(row: str) -> None:
    """Each setting that no row allows is refused by itself, whatever the edge accepts."""
    with pytest.raises(SettingsError, match="a hub never sets"):
        refuse(fragment_of(row), EVERYTHING)


@pytest.mark.parametrize("row", sorted(ALLOWED))
def test_a_row_is_accepted_by_its_word_alone(row: str) -> None:
    """A row is about a setting that there is, and is accepted with its own word and no other."""
    assert row in KEYS or row in LONG_FORMS
    refuse(fragment_of(row), [ALLOWED[row]])
    with pytest.raises(SettingsError, match=f"does not accept.*{ALLOWED[row]}"):
        refuse(fragment_of(row), [word for word in EVERYTHING if word != ALLOWED[row]])


@pytest.mark.parametrize("key", ["source", "state", "hub", "targets", "status", "log", "certificates", "unheard_of"])
@pytest.mark.parametrize("value", [None, {}, [], "x", {"a": {"b": [{"c": 1}]}}])
def test_forbidden_in_every_form(key: str, value: object) -> None:
    """What must stay the edge's own is refused in whatever form it comes."""
    assert forbidden({key: value, "discovery": {"via": "task"}})


@pytest.mark.parametrize("section", ["listeners", "claims", "discovery", "discovery.traefik"])
@pytest.mark.parametrize("value", [{}, [], None, "x"])
def test_an_empty_section_is_not_nothing(section: str, value: object) -> None:
    """`listeners: {}` would take the default listener away: it takes the same word as what could be in it."""
    fragment: object = value
    for part in reversed(section.split(".")):
        fragment = {part: fragment}
    assert isinstance(fragment, dict)
    with pytest.raises(SettingsError, match="does not accept"):
        refuse(fragment, ["templates"])


@pytest.mark.parametrize(
    ("handed", "own", "merged"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}, {"a": {"b": 2, "c": 1}}),
        ({"tls": True}, {"tls": {"minimum": "1.3"}}, {"tls": {"minimum": "1.3"}}),
        ({"tls": {"minimum": "1.2"}}, {"tls": True}, {"tls": True}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({}, {"source": {"hub": 1}}, {"source": {"hub": 1}}),
    ],
)
def test_own_settings_are_the_last_word(handed: dict[str, Any], own: dict[str, Any], merged: dict[str, Any]) -> None:
    """Handed-out settings lie under the edge's own, key by key; lists and short forms whole."""
    assert lay_under(handed, own) == merged
