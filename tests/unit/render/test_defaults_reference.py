"""The table of defaults in the documentation: what it says is what the built-in sets render, or it cannot be made."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain

import pytest

from scripts.reference import defaults
from scripts.reference.rendered import NotRendered, haproxy, matching, nginx, own, rendered, traefik

PROXIES = ("haproxy", "nginx", "traefik")


@pytest.fixture(scope="module")
def found():
    """The files of the small cluster."""
    return rendered()


def test_values_are_those_of_the_files(found):
    """Each value that names a word of the configuration stands beside it in that proxy's files."""
    named = 0
    for row in chain.from_iterable(defaults.TABLE.values()):
        for proxy, cell in zip(PROXIES, row.cells, strict=True):
            if match := re.fullmatch(r"(.+) \(`(.+)`\)", cell(found)):
                value, word = match.groups()
                value = {"none": "0s?"}.get(value, re.escape(value))
                assert re.search(rf"{word}:? \"?{value}", found.texts[proxy]), (row.what, proxy)
                named += 1
    assert named > 25


@pytest.mark.parametrize(
    "cell",
    [
        haproxy("http defaults", "timeout nothing"),
        haproxy("backend nobody", "balance"),
        nginx("no_directive"),
        traefik("entryPoints.web.transport.nothing"),
        traefik("nothing.*.at.all"),
        matching("nginx", "^nothing (.*)$"),
        own("haproxy", "timeout connect", "5s"),
        own("nginx", "client_max_body_size", "1m"),
    ],
)
def test_what_is_not_rendered(found, cell):
    """A table cannot speak of what is not rendered, nor call the program's own what is."""
    with pytest.raises(NotRendered):
        cell(found)


def test_another_value(found):
    """A value that changes in the files changes in the table."""
    changed = found.texts["nginx"].replace("client_header_timeout 10s;", "client_header_timeout 11s;")
    assert changed != found.texts["nginx"]
    other = replace(found, texts={**found.texts, "nginx": changed})
    assert nginx("client_header_timeout")(other) == "11s (`client_header_timeout`)"
