"""Routes at random that get in each other's way, and requests that tell them apart."""

from __future__ import annotations

from hypothesis import strategies as st

from lbgen.labels.match import Test
from tests.support.builders import a_listener, a_route
from tests.support.oracle import Request

WEB = a_listener()


def host(name: str) -> Test:
    return Test("host", name)


def below(path: str) -> Test:
    return Test("path_prefix", path)


def exactly(path: str) -> Test:
    return Test("path", path)


HOSTS = ["a.x", "b.x", "x", "*.x", "*.a.x", "*.b.x"]
PATHS = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"]
places = st.builds(
    lambda host_, path: tuple(sorted(test for test in (host_, path) if test)),
    st.sampled_from([None, *map(host, HOSTS)]),
    st.sampled_from([None, *map(below, PATHS), *map(exactly, [*PATHS, "/a/"])]),
)
odd = st.lists(
    st.builds(
        lambda test, negated: Test(test.kind, test.value, test.name, negated),
        st.sampled_from(
            [
                *map(host, HOSTS),
                *map(below, PATHS),
                *map(exactly, PATHS),
                Test("method", "GET"),
                Test("method", "POST"),
                Test("header", "1", "x-a"),
                Test("header", "2", "x-a"),
            ]
        ),
        st.booleans(),
    ),
    max_size=3,
).map(lambda tests: tuple(sorted(set(tests))))


@st.composite
def route_lists(draw, kinds):
    """Routes of several services, some with an explicit priority, of random ages."""
    count = draw(st.integers(1, 8))
    return [
        a_route(
            f"s{index}",
            *draw(st.lists(kinds, min_size=1, max_size=3, unique=True)),
            priority=draw(st.sampled_from([None, None, None, 0, 3, 18, 25, 40])),
            age=(float(draw(st.integers(0, 3))), f"id{index}"),
        )
        for index in range(count)
    ]


REQUESTS = [
    Request(name, path, method, headers)
    for name in ("a.x", "A.X:8080", "b.x", "c.x", "x", "y", "", "q.a.x", "q.b.x", "q.q.x")
    for path in ("/", "/a", "/a/", "/a/b", "/a/b/c", "/a/b/c/d", "/a/bc", "/ab", "/ab/c", "/abc", "/b", "/c", "//a")
    for method, headers in (("GET", {}), ("POST", {"x-a": "1"}), ("PUT", {"x-a": "2"}))
]
