"""`labels.values.substitution`: expressions over the beginning of a path or a URL, and what stands in their place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbgen.labels.values.substitution import (
    Substitution,
    only_place,
    path_substitution,
    substitution,
    url_from,
    url_redirects,
)
from lbgen.labels.values.value_type import BadValue


def apply(found: Substitution, text: str) -> str:
    """What the substitution makes of a text, by Python's own engine, which reads such expressions like the others."""
    new = "".join(f"\\g<{part}>" if kind == "group" else part.replace("\\", "\\\\") for kind, part in found.parts)
    return re.sub(found.regex, new, text, count=1)


@pytest.mark.parametrize(
    ("label", "path", "result"),
    [
        ("^/api/(.*) /v2/$1", "/api/x/y", "/v2/x/y"),
        ("^/api/ /", "/api/x", "/x"),
        ("^/a(b)?/ /${1}1$1/", "/ab/c", "/b1b/c"),
        ("(?i)^/A /b", "/a/c", "/b/c"),
        ("^(?:/a|/b) /c", "/b/d", "/c/d"),
        (r"^/[|(]\| /c", "/(|d", "/cd"),
        ("^(/x/[a-z]+).* $1", "/x/ab/1", "/x/ab"),
        ("^(.*?)/a$ $1/b", "/x/a", "/x/b"),
        ("^/never /x", "/a", "/a"),
    ],
)
def test_path(label, path, result):
    """What is found at the beginning is replaced, and the rest stays."""
    found = path_substitution(label)
    assert apply(found, path) == result
    assert path_substitution(str(found)) == found


@pytest.mark.parametrize(
    ("expression", "groups"),
    [
        ("^/a", 0),
        ("^(a)(b)", 2),
        ("^(?:a)(b)", 1),
        (r"^\((a)", 1),
        ("^[(](a)", 1),
        (r"^[\](](a(b))", 2),
        (r"^\\(a)", 1),
    ],
)
def test_groups(expression, groups):
    """Only groups that are there can be referred to; what is escaped, in a class or without number is none."""
    assert re.compile(expression).groups == groups
    for number in range(1, 4):
        if number <= groups:
            assert ("group", str(number)) in substitution(expression, f"/${number}").parts
        else:
            with pytest.raises(BadValue, match=f"refers to group {number}"):
                substitution(expression, f"/${number}")


@pytest.mark.filterwarnings("error")
def test_no_warning():
    """An expression that Python finds doubtful, as it may read it another way some day, is nobody's business here."""
    assert substitution("^/([a||b&&c~~]+)", "/$1").parts == (("text", "/"), ("group", "1"))


@pytest.mark.parametrize(
    ("label", "url", "result"),
    [
        (r"^https?://www\.a\.org/(.*) https://a.org/$1", "http://www.a.org/x?y", "https://a.org/x?y"),
        ("^http:// https://", "http://a.org/x", "https://a.org/x"),
        ("^(https?://[^/]+)/a $1/b", "http://a.org/a/c", "http://a.org/b/c"),
        ("^(.*)/a$ $1/b", "http://a.org/a", "http://a.org/b"),
        ("^https?://[^/]+/a /b", "http://a.org/a/c", "/b/c"),
        ("^http(s?)://www.a.org/ http${1}://a.org/", "http://www.a.org/x", "http://a.org/x"),
    ],
)
def test_url(label, url, result):
    """The same over a URL."""
    (redirect,) = url_redirects(label)
    assert apply(redirect.url, url) == result


def test_several_urls():
    """Expressions and URLs by turns, in the order written."""
    found = url_redirects("^http://a/ http://b/  ^http://c/ /d")
    assert [str(each) for each in found] == ["^http://a/ http://b/ (0)", "^http://c/ /d (0)"]


@pytest.mark.parametrize(
    "label",
    [
        *("", "^/a", "^/a /b /c", "/a /b", "^/a|/b /c", "(a)|^b /c", "^/a $0", "^/a /$1", "^/(a) /$1x", "^/(a) /$2"),
        *("^/a /$", "^/a /$$", "^/a /${x}", "^/a b", "^/a ?b", "^/a /b?c", "^/a /b#c", "^/a /%00", "^/a /%zz"),
        *("^/(a+)+ /b", "^/(?P<x>a) /b", r"^/(a)\1 /b", "^/(a) $1", "^(.*?)a $1b", "^/" + "(a)" * 10 + " /$10"),
        *("^(/a)?/(.*) $1$2", "^(/a){0,2}/ ${1}x", "^((/a)|/b) $2", "^(?:/a)(b) $1"),
        *("^/a /" + "x" * 600, "^/a /\u00e4", "^/\u00e4 /x"),
    ],
)
def test_no_path(label):
    """What is no such thing, or read differently by proxies, or no path."""
    with pytest.raises(BadValue):
        path_substitution(label)


@pytest.mark.parametrize(
    "label",
    [
        *("", "^http://a/", "^http://a/ http://b ^http://c/", "http://a/ http://b/", "^http://[^/]+(/.*) $1"),
        *(
            "^http://a(.*) //b$1",
            "^http://a javascript:x",
            "^http://a http:///b",
            "^http://a http://b/'",
            "^http://a b",
        ),
        *("^(http://[^/]+)?.*?(/.*) $1$2",),
        *("^http://a /\\b", "^http://a http://b/$1"),
        *("^http(x)?://a/ http$1://b/", "^http(s)?://a/(.*) http$1$2://b/", "^http(s)?://a/(.*) http$1:/b"),
    ],
)
def test_no_url(label):
    """What would lead to no URL, or to one that a client chooses."""
    with pytest.raises(BadValue):
        url_redirects(label)


@pytest.mark.parametrize(
    ("expression", "once"),
    [
        ("^/a", True),
        ("/a$", True),
        ("/a/(.*)", True),
        ("/a(/.*)", True),
        ("(?i)/(a|b)$", True),
        ("/(?:a|b)(x)$", True),
        ("(/a|b$)$", True),
        ("/a/(x|.*)", False),
        ("/a", False),
        (r"/a\$", False),
        ("^/a|/b", False),
        ("/a|/b$", False),
        (r"/a\.*", False),
    ],
)
def test_anchored(expression, once):
    """Only an expression that is found once at most can be made one for the beginning."""
    if once:
        substitution(*only_place(expression, "/x"))
    else:
        with pytest.raises(BadValue):
            substitution(*only_place(expression, "/x"))


EXPRESSIONS = ["/a/(.*)", "/a(b?)/(.*)$", "(?i)/B(.+)", "/([ab]+)$", "^/a(.*)", "/(a|b)$"]


@given(st.sampled_from(EXPRESSIONS), st.text("/abAB", max_size=12))
def test_same_as_replacing_all(expression, text):
    """One substitution at the beginning is what Go's ReplaceAllString, and Python's sub, make of all places."""
    new = "/<${1}>"
    try:
        found = substitution(*only_place(expression, new))
    except BadValue:
        return
    assert apply(found, text) == re.sub(expression, r"/<\1>", text)


@pytest.mark.parametrize(
    ("expression", "url", "fine"),
    [
        ("^http(s)?://www.(a.org)/(.*)", "http${1}://a.org/${3}", True),
        ("^http(s?)://(.*)", "http$1://a.org", True),
        ("^http(s)://(.*)", "http$1://a.org", True),
        ("^http(s)?://(.*)", "http$2://a.org", False),
        ("^http(s)?://(.*)", "http$1:///a.org", False),
        ("^http(s)?://(.*)", "http$1://$2", False),
        ("^http(s)?://(.*)", "http$1", False),
        ("^http([a-z]?)://(.*)", "http$1://a.org", False),
    ],
)
def test_either_scheme(expression, url, fine):
    """A URL may take the scheme from the request, if it can be nothing but http or https, and the name is its own."""
    if fine:
        assert url_from(expression, url).parts[0] == ("text", "http")
    else:
        with pytest.raises(BadValue, match="does not lead to a URL"):
            url_from(expression, url)
