"""`lbgen.labels.match`: boolean expressions over a request, multiplied out to an OR of ANDs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import (
    ALWAYS,
    MAX_ALTERNATIVES,
    All,
    AnyOf,
    Match,
    Not,
    Test,
    TooManyAlternatives,
    alternatives,
    match_text,
)

A, B, C, D = (Test("host", name) for name in "abcd")


def no(test: Test) -> Test:
    """The same test, negated."""
    return Test(test.kind, test.value, test.name, not test.negated)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (A, [(A,)]),
        (Not(A), [(no(A),)]),
        (Not(Not(A)), [(A,)]),
        (Not(no(A)), [(A,)]),
        (ALWAYS, [()]),
        (Not(ALWAYS), []),
        (AnyOf(()), []),
        (Not(AnyOf(())), [()]),
        (All((A, B)), [(A, B)]),
        (All((B, A)), [(A, B)]),
        (All((A, A)), [(A,)]),
        (AnyOf((B, A)), [(A,), (B,)]),
        (AnyOf((A, A)), [(A,)]),
        (AnyOf((A, ALWAYS)), [(), (A,)]),
        (All((AnyOf((A, B)), AnyOf((C, D)))), [(A, C), (A, D), (B, C), (B, D)]),
        (Not(All((A, B))), [(no(A),), (no(B),)]),
        (Not(AnyOf((A, B))), [(no(A), no(B))]),
        (All((A, Not(AnyOf((B, All((C, D))))))), [(A, no(B), no(C)), (A, no(B), no(D))]),
    ],
    ids=str,
)
def test_alternatives(match, expected):
    """An expression becomes the OR of ANDs that means the same, sorted and without repetition."""
    assert list(alternatives(match)) == [tuple(sorted(each)) for each in expected]


def holds(match: Match, true: frozenset[Test]) -> bool:
    """Evaluate an expression the plain way, for a request of which exactly these tests are true."""
    match match:
        case Test():
            return (Test(match.kind, match.value, match.name) in true) ^ match.negated
        case Not(term):
            return not holds(term, true)
        case All(terms):
            return all(holds(term, true) for term in terms)
        case AnyOf(terms):
            return any(holds(term, true) for term in terms)


LEAVES = st.sampled_from([A, B, C, D, no(A), no(B), Test("header", "1", "x-a"), Test("header", "1", "x-b")])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=10,
)


@given(EXPRESSIONS, st.frozensets(LEAVES.filter(lambda test: not test.negated)))
@settings(deadline=None, max_examples=300)
def test_alternatives_mean_the_same(match, true):
    """Whatever is nested how, the alternatives hold exactly when the expression does."""
    assert any(all(holds(test, true) for test in each) for each in alternatives(match)) == holds(match, true)


def many(letter: str, count: int) -> AnyOf:
    """An OR of so many different tests."""
    return AnyOf(tuple(Test("host", f"{letter}{index}") for index in range(count)))


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (many("a", MAX_ALTERNATIVES), True),
        (many("a", MAX_ALTERNATIVES + 1), False),
        (All((many("a", 32), many("b", 32))), True),
        (All((many("a", 32), many("b", 33))), False),
        (AnyOf((many("a", 700), many("b", 700))), False),
        (All((many("a", 1000), many("a", 1000))), False),
        (All((many("a", 32), many("b", 32), AnyOf(()))), True),
    ],
)
def test_too_many_alternatives(match, fits):
    """An expression may become MAX_ALTERNATIVES alternatives and not one more, however it is built."""
    if fits:
        assert len(alternatives(match)) <= MAX_ALTERNATIVES
    else:
        with pytest.raises(TooManyAlternatives, match=f"more than {MAX_ALTERNATIVES}"):
            alternatives(match)


@pytest.mark.parametrize(
    ("test", "shown"),
    [
        (Test("host", "a.org"), "host(a.org)"),
        (Test("header", "1", "x-a"), "header(x-a: 1)"),
        (Test("path", "/", negated=True), "!path(/)"),
    ],
)
def test_shown(test, shown):
    """A test is shown the way people write it."""
    assert str(test) == shown


@pytest.mark.parametrize(
    ("match", "shown"),
    [
        (ALWAYS, "every request"),
        (Test("host", "a.org"), "host(a.org)"),
        (All((AnyOf((Test("host", "a.org"),)), Test("path", "/x"))), "host(a.org) && path(/x)"),
        (
            All((AnyOf((Test("host", "a"), Test("host", "b"))), Not(AnyOf((Test("path", "/x"), Test("path", "/y")))))),
            "(host(a) || host(b)) && !(path(/x) || path(/y))",
        ),
        (Not(Test("header", "1", "x-a")), "!header(x-a: 1)"),
        (AnyOf((All((Test("host", "a"), Test("path", "/"))), ALWAYS)), "(host(a) && path(/)) || true"),
    ],
)
def test_spelt(match, shown):
    """An expression is shown with its operators, and parentheses only where they mean something."""
    assert match_text(match) == shown
