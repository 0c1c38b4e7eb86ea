"""Paths in labels, in the form that proxies match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.labels.match import All, AnyOf, Not, Test, alternatives
from lbgen.labels.values import paths
from lbgen.labels.values.value_type import BadValue
from lbgen.model import build
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_snapshot, app


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("/", "/"),
        ("//", "/"),
        ("//a/./b/../%63", "/a/c"),
        ("/a//b/", "/a/b/"),
        ("/a/.", "/a/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../a/../../b", "/b"),
        ("/%2e%2E/a", "/a"),
        ("/%7Euser/%41%2d%5f", "/~user/A-_"),
        ("/caf%c3%a9/a%2fb%5c", "/caf%C3%A9/a%2Fb%5C"),
        ("/a..b/...", "/a..b/..."),
        ("/%zz%2", "/%zz%2"),
        ("/a;b/..;/c", "/a;b/..;/c"),
        ("/%252e", "/%252e"),
    ],
)
def test_normal_form(text, normal):
    """A path in labels is read in normal form; as a prefix without a slash at its end."""
    assert paths.exact(text) == normal
    assert paths.prefix(text) == (normal.rstrip("/") or "/")


@given(st.lists(st.sampled_from(["/", ".", "..", "%2e", "%61", "%2F", "a", "%", "%c3", ";"]), max_size=12).map("".join))
def test_normal_form_is_final(text):
    """Normal form has no empty segment and no dots, no escape that it does not need, and is its own."""
    normal = paths.normal(f"/{text}")
    assert not re.search(r"//|/\.\.?(/|$)", normal), normal
    assert paths.normal(normal) == normal or "%" in text.replace("%2e", "").replace("%61", "")


@pytest.mark.parametrize("text", ["a", "/a b", "/a?b", "/\u00e9"])
def test_no_path(text):
    """What is no path in a URL is refused as before."""
    for parse in (paths.exact, paths.prefix):
        with pytest.raises(BadValue):
            parse(text)


HOST, EVERY = Test("host", "a.org"), Test("path_prefix", "/")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (EVERY, ((),)),
        (All((HOST, EVERY)), ((HOST,),)),
        (AnyOf((HOST, EVERY)), ((), (HOST,))),
        (Not(EVERY), ()),
        (All((HOST, Not(EVERY))), ()),
        (AnyOf((HOST, Not(EVERY))), ((HOST,),)),
    ],
)
def test_every_path_is_no_test(match, expected):
    """That a path is below the root is not asked: it always is."""
    assert alternatives(match) == expected


@pytest.mark.parametrize("path", ["/", "//", "/.", "/x/.."])
def test_root_is_no_path(path):
    """A host alone, and the host with every path, ask for the same: the older service keeps it, the newer is told."""
    older = app("older", {"host": "a.org"}, 80, created_at="2025-01-01T00:00:00Z")
    newer = app("newer", {"host": "a.org", "path": path}, 80, "127.1.0.2", created_at="2026-01-01T00:00:00Z")
    model = build(a_snapshot(a_node(), a_network("edge"), *older, *newer), a_rules(a_listener()))
    assert [(cell.path, cell.backend) for cell in model.listeners[0].cells] == [("/", "older")]
    (problem,) = model.problems
    assert problem.service == "newer"
    assert "already taken by service older" in problem.message
