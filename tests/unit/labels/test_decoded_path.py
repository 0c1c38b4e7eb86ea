"""What a path may mean to applications that decode it: the expressions, against readings done the slow, obvious way."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbgen.labels import decoded_path
from lbgen.labels.match import Test
from tests.support.path_readings import normal, readings, segments

GUARDED = [
    "/admin",
    "/admin/x",
    "/a/b",
    "/a.b/~c",
    "/caf%C3%A9",
    "/a%20b",
    "/s%3Bv",
    "/s;v=1/x",
    "/a%2Fb",
    "/100%25",
    "/.a",
]


def spellings() -> st.SearchStrategy[str]:
    """Normal paths made of what matters, in orders that nobody would think of."""
    pieces = [
        "/",
        "/",
        "\\",
        "%2F",
        "%5C",
        "%252f",
        "%2F/",
        ";",
        "%3B",
        ".",
        "..",
        "%252E",
        "x",
        "a",
        "b",
        "v",
        "%25",
        "%",
    ]
    pieces += [
        "admin",
        "%2561dmin",
        "b%2e",
        "caf%C3%A9",
        "a%20b",
        "s;v=1",
        "s%3bv",
        "100%25",
        "%2525",
        "é",
        ";v=1",
        "a.b",
        "~c",
    ]
    return st.lists(st.sampled_from(pieces), max_size=9).map(lambda parts: normal("/" + "".join(parts)))


def found(expression: str, path: str) -> bool:
    """Tell whether the expression is found in the path; Python writes the end of a text another way."""
    return bool(re.search(expression.replace(r"\z", r"\Z"), path))


def is_below(read: list[str], guarded: str) -> bool:
    """Tell whether what was read is the path, or below it."""
    names = segments(unquote(guarded), cut=False)
    names = [name for name in names if name.partition(";")[0] not in ("", ".")]
    return ".." in read or read[: len(names)] == names


@pytest.mark.parametrize("guarded", GUARDED)
@given(path=spellings())
@example(path="/x/..;/admin")
@example(path="/x;y%2Fz/admin")
@settings(max_examples=100, deadline=None)
def test_any_reading(guarded, path):
    """A path that is below the guarded one in one of its readings may be below it."""
    if any(is_below(read, guarded) for read in readings(path)):
        assert found(decoded_path.may_be_below(guarded), path), path


@pytest.mark.parametrize("guarded", ["/admin", "/a/b", "/caf%C3%A9", "/a.b/~c"])
@given(path=spellings())
@settings(max_examples=100, deadline=None)
def test_no_other_path(guarded, path):
    """What may be below it is so when it is decoded in full, goes up, or has a slash in parameters."""
    if found(decoded_path.may_be_below(guarded), path):
        text = path
        for _ in range(6):
            text = unquote(text)
        hidden = re.search(r"(;|%(25)*3[bB])[^/]*(\\|%(25)*(2[fF]|5[cC]))", path)
        assert hidden or is_below(segments(text), guarded) or ".." in segments(text), path


@pytest.mark.parametrize("guarded", GUARDED)
@given(path=spellings())
@settings(max_examples=100, deadline=None)
def test_every_reading(guarded, path):
    """A path that is surely below another one is so in all readings, and never goes up."""
    if found(decoded_path.is_below(guarded), path):
        assert path == guarded or path.startswith(guarded + "/") or "é" in path or ";" in path or "%3b" in path
        assert all(".." not in read for read in readings(path)), path
        as_sent = segments(guarded, cut=False)
        assert ";" in unquote(guarded) or all(
            is_below(read, guarded) or read[: len(as_sent)] == as_sent for read in readings(path)
        ), path


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/admin/",
        "/admin/x",
        "/admin/..x",
        "/admin/.x/y",
        "/admin/a%2Fb",
        "/admin/%C3%A9",
        "/admin/;x/...",
        "/admin/.",
    ],
)
def test_plain_paths_below(path):
    """What everybody reads alike is below it, surely."""
    assert found(decoded_path.is_below("/admin"), path)
    assert found(decoded_path.may_be_below("/admin"), path)


@pytest.mark.parametrize(
    "path", ["/", "/adminx", "/x/admin", "/Admin", "/admin.", "/adm", "/api/v4/projects/a%2Fb", "/..x", "/a;x"]
)
def test_plain_paths_elsewhere(path):
    """Other paths are not, however they are read."""
    assert not found(decoded_path.may_be_below("/admin"), path)


@pytest.mark.parametrize(
    "path",
    [
        "/admin%2Fx",
        "/admin%5cx",
        "/admin\\x",
        "/admin;v=1/x",
        "/admin%3bx",
        "/%2fadmin",
        "/;x/admin",
        "/.;x/admin",
        "/%252561dmin",
        "/static/..%2fadmin",
        "/static/..;/x",
        "/x%2F..",
        "/x\\..\\admin",
        "/x/%252e%252e/admin",
    ],
)
def test_odd_paths(path):
    """What an application may take for a path below it; what goes up may be anywhere; and never is it sure."""
    assert found(decoded_path.may_be_below("/admin"), path)
    assert not found(decoded_path.is_below("/admin"), path)


@pytest.mark.parametrize("path", ["/caf\u00e9/x", "/caf%C3%A9/x", "/caf%c3%a9", "/caf%25C3%25A9"])
def test_beyond_ascii(path):
    """Such a character is found decoded too, as Nginx and Traefik have it."""
    assert found(decoded_path.may_be_below("/caf%C3%A9"), path)


@pytest.mark.parametrize("path", ["/%FF/x", "/%00", "/%E2%80%8B/x", "/%0A"])
def test_what_no_expression_can_say(path):
    """Bytes that are no text: it may be all that is below the path before them, and surely nothing is."""
    assert decoded_path.may_be_below(path) == decoded_path.ALWAYS
    assert decoded_path.may_be_below("/x" + path) == decoded_path.may_be_below("/x")
    assert decoded_path.is_below(path) == decoded_path.NEVER


@pytest.mark.parametrize(
    "path", ["/" + "x" * 200, "/" + "/".join(["segment"] * 30), "/" + "%C3%A9" * 400, "/" + "x" * 4000]
)
def test_long_paths(path):
    """An expression fits into a word of Nginx's; where it asks about less than the path, it is about more paths."""
    for expression in (decoded_path.may_be_below(path), decoded_path.is_below(path)):
        assert len(expression.encode()) + expression.count("\\") <= 4000
        assert len(path) > 500 or found(expression, path)
    assert found(decoded_path.may_be_below(path), path)


def test_every_path():
    """Every path is below "/", wherever it leads."""
    for expression in (decoded_path.may_be_below("/"), decoded_path.is_below("/")):
        assert found(expression, "/x/..%2F..")


HOSTILE = ["%25", "%2F", "/;", ";%2F", "%3B%2F", "./", "/.", "\\", "%", "%2", "a", "/a", "..;", "%252E", "/;a", "%2525"]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("guarded", ["/a/a/a/b", "/admin", "/%25/25/b", "/;a/.a/a;a/b"])
def test_linear(guarded, unit):
    """It takes a moment for the longest text: were it quadratic, this would go on for hours."""
    for text in (f"/{unit * 20_000}", f"/a/a/a/a{unit * 20_000}!"):
        found(decoded_path.may_be_below(guarded), text)
        found(decoded_path.is_below(guarded), text)


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        ("/a%2Fb", True),
        ("/a%5cb", True),
        ("/a\\b", True),
        ("/a;b", True),
        ("/a%3Bb", True),
        ("/a%252Fb", True),
        ("/caf%C3%A9", False),
        ("/100%25", False),
        ("/a:b@c", False),
        ("/a.b/..c/", False),
    ],
)
def test_odd(path, odd):
    """What may mean another path once it is decoded."""
    assert bool(found(decoded_path.ODD, path)) is odd


def test_pattern_of_a_test():
    """A test says its expression: the tolerant one, the strict one if it is negated; tests of other kinds have none."""
    assert Test("path_decoded", "/a").pattern == decoded_path.may_be_below("/a")
    assert Test("path_decoded", "/a", negated=True).pattern == decoded_path.is_below("/a")
    assert Test("path_odd", "").pattern == Test("path_odd", "", negated=True).pattern == decoded_path.ODD
    assert Test("path_regex", "x").pattern == ""
    assert not Test("path_decoded", "/a").is_regex
