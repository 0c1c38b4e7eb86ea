"""What a request must look like to take a route: one boolean expression.

Every vocabulary of labels ends in this type, and every proxy is given what `alternatives` makes of it: an OR of
ANDs of single tests, which is the one form that maps, ACLs and location blocks can all express.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from lbgen.base.errors import LbgenError
from lbgen.base.problem import is_secret
from lbgen.labels import decoded_path
from lbgen.labels.values.regex import longest_text

MAX_ALTERNATIVES = 1024
MAX_TESTS = 4096  # in all of them
# Tests in the order in which they are asked: what costs least and excludes most comes first.
_ORDER = {
    kind: place
    for place, kind in enumerate(
        (
            "host",
            "path",
            "path_prefix",
            "path_start",
            "path_odd",
            "path_decoded",
            "scheme",
            "method",
            "client_ip",
            "sni",
            "alpn",
            "header",
            "query",
            "host_regex",
            "path_regex",
            "header_regex",
            "query_regex",
            "sni_regex",
        )
    )
}


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """One test of a request.

    ============  ==================================  ============================================
    ``kind``      ``value``                           true when
    ============  ==================================  ============================================
    host          lower-case name, or ``*.name``      Host is the name (``*`` stands for one label); its port
                                                      and a dot at its end do not matter
    host_regex    regex                               found in the lower-case Host without its port
    path          absolute path                       path equals it
    path_prefix   absolute path, no trailing slash    path equals it or continues it with ``/``; ``/``: always
    path_start    absolute path                       path begins with it, in the middle of a segment too
    path_regex    regex                               found in the path
    path_decoded  absolute path                       some application may take the path for this one or for one below
                                                      it; negated: not every application does. `pattern` says which
    path_odd      empty                               decoded in full the path may be another one. `pattern` says which
    scheme        ``http`` or ``https``               the client's own, as the listener or a trusted load balancer says
    method        upper-case method                   method equals it
    header        text                                header ``name`` (case-insensitive) has exactly this value
    header_regex  regex                               found in one value of header ``name`` (case-insensitive)
    query         text                                one parameter ``name`` (case-sensitive) has exactly this value;
                                                      empty: it has none, as in ``?name`` and ``?name=``
    query_regex   regex                               found in one value of parameter ``name`` (case-sensitive)
    client_ip     network, as 192.0.2.0/24            the client's address is in it; one address is a /32 or /128
    sni           lower-case name, ``*.name``         the TLS client asks for the name
    sni_regex     regex                               found in the lower-case name the TLS client asks for, or in
                                                      the empty text if it asks for none
    alpn          protocol, as ``h2``                 the TLS client offers it
    ============  ==================================  ============================================

    A path is the request's own without its query, in normal form: slashes merged, dot segments removed, unreserved
    characters decoded, other escapes in upper case. A parameter's name and value are decoded.
    A regex is what `lbgen.labels.values.regex.regex` accepts: case-sensitive, and found anywhere unless it has anchors.
    """

    __test__ = False  # the name is a word of this domain, not a test case for pytest

    kind: str
    value: str
    name: str = ""
    negated: bool = False

    @property
    def longest(self) -> int | None:
        """How long a text may be that its expression is asked about; None: it has none, or one for any text.

        A request that brings a longer one is refused: an expression that is not asked must not decide.
        """
        return longest_text(self.value) if self.is_regex else None

    @property
    def pattern(self) -> str:
        """Of kinds path_decoded and path_odd the expression that decides, the same for every proxy; else empty."""
        if self.kind == "path_decoded":
            return decoded_path.is_below(self.value) if self.negated else decoded_path.may_be_below(self.value)
        return decoded_path.ODD if self.kind == "path_odd" else ""

    @property
    def is_regex(self) -> bool:
        """Whether its value is an expression that a label has."""
        return self.kind.endswith("_regex")

    def __str__(self) -> str:
        value = "..." if is_secret(self.name, self.value) else self.value
        inner = f"{self.name}: {value}" if self.name else value
        return f"{'!' if self.negated else ''}{self.kind}({inner})"


@dataclass(frozen=True, slots=True)
class All:
    """True when every term is; without terms always true."""

    terms: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one of the terms is."""

    terms: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the term is not."""

    term: Match


Match = Test | All | AnyOf | Not
Alternative = tuple[Test, ...]  # tests that must all hold, in the order to ask them; () is always true
ALWAYS = All()


def to_ask(tests: Iterable[Test]) -> Alternative:
    """Put tests in the order to ask them: the host first, then what is compared, expressions last."""
    return tuple(sorted(tests, key=lambda test: (test.is_regex, test.negated, _ORDER[test.kind], test)))


def any_of(kind: str, values: Iterable[str], name: str = "") -> Match | None:
    """Return the match of requests for which one of the values is true; without values None."""
    tests = tuple(Test(kind, value, name) for value in values)
    return AnyOf(tests) if tests else None


def match_text(match: Match) -> str:
    """Return the expression for people: ``host(a.org) && !(path(/x) || path(/y))``; "every request" for `ALWAYS`."""
    return "every request" if match == ALWAYS else _text(match)


def _text(match: Match) -> str:
    match match:
        case Test():
            return str(match)
        case Not():
            return f"!{_inner(match.term)}"
        case All(terms) | AnyOf(terms) if len(terms) == 1:
            return _text(terms[0])
        case All(terms):
            return " && ".join(map(_inner, terms)) or "true"
        case AnyOf(terms):
            return " || ".join(map(_inner, terms)) or "false"


def _inner(match: Match) -> str:
    several = isinstance(match, All | AnyOf) and len(match.terms) > 1
    return f"({_text(match)})" if several else _text(match)


def kinds_of(match: Match) -> frozenset[str]:
    """Return the kinds of the tests in an expression."""
    match match:
        case Test():
            return frozenset({match.kind})
        case Not():
            return kinds_of(match.term)
        case All(terms) | AnyOf(terms):
            return frozenset().union(*map(kinds_of, terms))


class TooManyAlternatives(LbgenError):
    """The expression multiplies out to more than a proxy should be given; the route has to be split by its owner."""


def alternatives(match: Match) -> tuple[Alternative, ...]:
    """Multiply the expression out to an OR of ANDs, sorted and without repetition.

    Raises:
        TooManyAlternatives: there would be more than MAX_ALTERNATIVES of them, or more than MAX_TESTS in them.
    """
    return tuple(map(to_ask, sorted(_expand(match, negated=False))))


def _expand(match: Match, *, negated: bool) -> set[Alternative]:
    match match:
        case Test(kind="path_prefix", value="/"):  # every path
            return set() if match.negated ^ negated else {()}
        case Test():
            return {(Test(match.kind, match.value, match.name, match.negated ^ negated),)}
        case Not():
            return _expand(match.term, negated=not negated)
        case All() | AnyOf():
            parts = [_expand(term, negated=negated) for term in match.terms]
            # De Morgan: a negated All is an AnyOf of negated terms, and the other way round.
            return _product(parts) if isinstance(match, All) ^ negated else _collect(chain.from_iterable(parts))


def _product(parts: list[set[Alternative]]) -> set[Alternative]:
    # What holds in every alternative comes last and at once: joined one by one, thousands of tests would take minutes.
    common = {test for part in parts if len(part) == 1 for tests in part for test in tests}
    product: set[Alternative] = {()}
    for part in [*(part for part in parts if len(part) != 1), {tuple(sorted(common))}]:
        product = _collect(tuple(sorted({*left, *right})) for left in product for right in part)
    return product


def _collect(expanded: Iterable[Alternative]) -> set[Alternative]:
    """Collect the alternatives, and give up at the first too many: nobody waits for a million of them."""
    kept: set[Alternative] = set()
    tests = 0
    for alternative in expanded:
        kept.add(alternative)
        tests += len(alternative)
        if tests > MAX_TESTS:
            raise TooManyAlternatives(
                f"the match multiplies out to more than {MAX_TESTS} tests; split it over several routes"
            )
        if len(kept) > MAX_ALTERNATIVES:
            raise TooManyAlternatives(
                f"the match multiplies out to more than {MAX_ALTERNATIVES} combinations; split it over several routes"
            )
    return kept


def tests_of(match: Match) -> Iterator[Test]:
    """Yield every test of an expression, negated ones too."""
    match match:
        case Test():
            yield match
        case Not(term):
            yield from tests_of(term)
        case All(terms) | AnyOf(terms):
            for term in terms:
                yield from tests_of(term)
