"""Whether two alternatives have requests in common."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lbgen.labels.match import Alternative, Test
from lbgen.labels.relations import exclude
from tests.support.oracle import Request, holds

VALUES = {
    "host": ["a.org", "b.org", "x.a.org", "*.a.org", "*.org"],
    "host_regex": ["^a[.]org$", "org", "^x"],
    "path": ["/a", "/a/b", "/ab"],
    "path_prefix": ["/", "/a", "/a/b", "/b"],
    "path_start": ["/", "/a", "/a/", "/b"],
    "method": ["GET", "POST"],
    "header": ["1", "2"],
}
TESTS = st.sampled_from([(kind, value) for kind, values in VALUES.items() for value in values])
ALTERNATIVES = st.lists(
    st.builds(lambda made, negated: Test(*made, "x" if made[0] == "header" else "", negated), TESTS, st.booleans()),
    max_size=3,
).map(tuple)
REQUESTS = [
    Request(host, path, method, {"x": value})
    for host in ("a.org", "b.org", "x.a.org", "y.x.a.org", "org", "")
    for path in ("/", "/a", "/a/", "/a/b", "/ab", "/abc", "/b", "/b/a")
    for method in ("GET", "PUT")
    for value in ("1", "3")
]


def matching(alternative: Alternative) -> set[int]:
    """Which of the requests match."""
    return {place for place, request in enumerate(REQUESTS) if all(holds(test, request) for test in alternative)}


@given(ALTERNATIVES, ALTERNATIVES)
@example((Test("path_start", "/a"),), (Test("path_prefix", "/a"),))
@example((Test("path_start", "/a"),), (Test("path", "/ab"),))
@example((Test("path_prefix", "/a"),), (Test("path_start", "/a/"),))
def test_sure(one, other):
    """No request matches both if that is said."""
    if exclude(one, other):
        assert not matching(one) & matching(other)


def of(*tests: str) -> Alternative:
    """``host=a.org``, ``!path=/a``."""
    made = []
    for text in tests:
        kind, _, value = text.lstrip("!").partition("=")
        made.append(Test(kind, value, negated=text.startswith("!")))
    return tuple(made)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (of("host=a.org"), of("host=b.org")),
        (of("host=a.org"), of("host=*.a.org")),
        (of("host=a.org"), of("!host=a.org", "path_prefix=/x")),
        (of("host=x.a.org"), of("!host=*.a.org")),
        (of("host=a.org"), of("host_regex=^b")),
        (of("path_prefix=/a"), of("path_prefix=/b")),
        (of("path=/a/b"), of("path_prefix=/a/c")),
        (of("path_prefix=/a/b"), of("!path_prefix=/a")),
        (of("method=GET"), of("method=POST")),
        (of("sni=a.org"), of("sni=b.org")),
    ],
)
def test_excluded(one, other):
    """And the other way round."""
    assert exclude(one, other)
    assert exclude(other, one)
