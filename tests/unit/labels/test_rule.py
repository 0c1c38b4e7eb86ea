"""`lbgen.labels.rule.parser`: Traefik's rule syntax, read as match expressions.

What is good, what is bad and what it means was compared with a real Traefik 3.7.15, rule by rule.
"""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lbgen.labels.match import ALWAYS, All, AnyOf, Match, Not, Test, TooManyAlternatives, alternatives
from lbgen.labels.rule.expression import MAX_DEPTH
from lbgen.labels.rule.parser import default_priority, parse
from lbgen.labels.values.basic import MAX_VALUE
from lbgen.labels.values.value_type import BadValue

A, B, C = Test("host", "a.org"), Test("host", "b.org"), Test("path", "/c")
HOST_A, HOST_B, PATH_C = "Host(`a.org`)", "Host(`b.org`)", "Path(`/c`)"


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ("Host(`a.org`)", A),
        ("Host(`A.Org.`)", A),
        ("Host(`*.a.org`)", Test("host", "*.a.org")),
        ("Host(`*`)", ALWAYS),
        ("Host(`192.0.2.7`)", Test("host", "192.0.2.7")),
        ("HostRegexp(`^.+\\.a\\.org$`)", Test("host_regex", r"^.+\.a\.org$")),
        ("Path(`/c`)", C),
        ("Path(`/c/`)", Test("path", "/c/")),
        ("Path(`/a b`)", Test("path", "/a%20b")),
        ("Path(`/café`)", Test("path", "/caf%C3%A9")),
        ("Path(`/a%2Fb;c=d~'[x]`)", Test("path", "/a%2Fb;c=d~'[x]")),
        ("Path(`/100%25`)", Test("path", "/100%25")),
        ('Path(`/"<>`)', Test("path", "/%22%3C%3E")),
        ("PathPrefix(`/`)", Test("path_prefix", "/")),
        ("PathPrefix(`/api`)", Test("path_start", "/api")),
        ("PathPrefix(`/api/`)", Test("path_start", "/api/")),
        ("PathPrefix(`/a b`)", Test("path_start", "/a%20b")),
        ("PathRegexp(`(?i)^/v[0-9]{1,3}%2F`)", Test("path_regex", "(?i)^/v[0-9]{1,3}%2F")),
        ("Method(`get`)", Test("method", "GET")),
        ("Header(`X-A`, `1, 2`)", Test("header", "1, 2", "x-a")),
        ("HeaderRegexp(`X-A`, `^a b$`)", Test("header_regex", "^a b$", "x-a")),
        ("Query(`q`)", Test("query", "", "q")),
        ("Query(`Q`, `a b`)", Test("query", "a b", "Q")),
        ("QueryRegexp(`q`)", Test("query", "", "q")),
        ("QueryRegexp(`q`, `^[0-9]+$`)", Test("query_regex", "^[0-9]+$", "q")),
        ("ClientIP(`192.0.2.7`)", Test("client_ip", "192.0.2.7/32")),
        ("ClientIP(`192.0.2.7/24`)", Test("client_ip", "192.0.2.0/24")),
        ("ClientIP(`192.0.2.7/08`)", Test("client_ip", "192.0.0.0/8")),
        ("ClientIP(`2001:DB8:0::7`)", Test("client_ip", "2001:db8::7/128")),
        ("ClientIP(`2001:db8::7/32`)", Test("client_ip", "2001:db8::/32")),
        ("ClientIP(`::ffff:192.0.2.7`)", Test("client_ip", "192.0.2.7/32")),
        ("ClientIP(`::ffff:192.0.2.7/120`)", Test("client_ip", "192.0.2.0/24")),
        ("ClientIP(`::/0`)", Test("client_ip", "::/0")),
        ("host(`a.org`)", A),
        ("HOST(`a.org`)", A),
        ("Pathprefix(`/api`)", Test("path_start", "/api")),
        ("clientip(`::1`)", Test("client_ip", "::1/128")),
        ('Host("a.org")', A),
        ('Host("a\\x2eor\\147")', A),
        ('Path("/\\u0063")', C),
        ('Path("/\\U00000063")', C),
        ('Path("/caf\\xc3\\xa9")', Test("path", "/caf%C3%A9")),
        ('Header("X-A", "\\"\\\\\\"")', Test("header", '"\\"', "x-a")),
        ('Header(`X-A`, `"\\"`)', Test("header", '"\\"', "x-a")),
        ("Host(`a.\rorg`)", A),
        ("Host(`a.org`,)", A),
        (" \tHost\r\n(\n`a.org` \n, ) ", A),
        ("((Host(`a.org`)))", A),
        (f"!{HOST_A}", Not(A)),
        (f"! ! {HOST_A}", Not(Not(A))),
        (f"!({HOST_A})", Not(A)),
        (f"{HOST_A} && {HOST_B} && {PATH_C}", All((A, B, C))),
        (f"{HOST_A}||{HOST_B}||{PATH_C}", AnyOf((A, B, C))),
        (f"{HOST_A} || {HOST_B} && {PATH_C}", AnyOf((A, All((B, C))))),
        (f"{HOST_A} && {HOST_B} || {PATH_C}", AnyOf((All((A, B)), C))),
        (f"({HOST_A} || {HOST_B}) && {PATH_C}", All((AnyOf((A, B)), C))),
        (f"{HOST_A} && ({HOST_B} && {PATH_C})", All((A, All((B, C))))),
        (f"!{HOST_A} && {PATH_C}", All((Not(A), C))),
        (f"!({HOST_A} && !{PATH_C})", Not(All((A, Not(C))))),
        ("(" * (MAX_DEPTH - 1) + HOST_A + ")" * (MAX_DEPTH - 1), A),
        ("!" * 3 + HOST_A, Not(Not(Not(A)))),
        (" || ".join([HOST_A] * 241), AnyOf((A,) * 241)),
    ],
)
def test_http(rule, meant):
    """A rule of an HTTP route is read as what it means in Traefik."""
    assert parse(rule) == meant


@pytest.mark.parametrize(
    ("rule", "meant"),
    [
        ("HostSNI(`*`)", ALWAYS),
        ("HostSNI(`DB.a.org.`)", Test("sni", "db.a.org")),
        ("hostsni(`*.a.org`)", Test("sni", "*.a.org")),
        ("Hostsni(`a.org`)", Test("sni", "a.org")),
        ("HostSNIRegexp(`^db[0-9]\\.`)", Test("sni_regex", r"^db[0-9]\.")),
        ("ALPN(`h2`)", Test("alpn", "h2")),
        ("Alpn(`http/1.1`)", Test("alpn", "http/1.1")),
        ("ClientIP(`10.0.0.0/8`)", Test("client_ip", "10.0.0.0/8")),
        (
            "HostSNI(`a.org`) && !ClientIP(`::1`)",
            All((Test("sni", "a.org"), Not(Test("client_ip", "::1/128")))),
        ),
    ],
)
def test_tcp(rule, meant):
    """A rule of a TCP route has matchers of its own."""
    assert parse(rule, "tcp") == meant


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        (HOST_A.ljust(MAX_VALUE + 1), "is 4097 characters long"),
        ("Host", "at character 5: expected ( after Host, found the end"),
        ("Host(", "at character 6: expected a string in backquotes or ), found the end"),
        ("Host(`a.org`", "at character 13: expected , or ), found the end"),
        ("Host(`a.org` `b.org`)", "at character 14: expected , or ), found `b.org`"),
        ("Host(`a.org`,,)", "at character 14: expected a string in backquotes, found ,"),
        ("Host(,)", "at character 6: expected a string in backquotes or ), found ,"),
        ("Host(a)", "at character 6: expected a string in backquotes or ), found a"),
        ("Host(a.org)", "at character 7: unexpected '.'"),
        ("Host((`a.org`))", "at character 6: expected a string in backquotes or ), found ("),
        ("Host(`a.org", "at character 6: the string `a.org is never closed"),
        ('Host("a.org`)', 'at character 6: the string "a.org`) is never closed'),
        ('Host("a\n")', "at character 6: the string"),
        ("Host('a.org')", "at character 6: a string in single quotes"),
        ("Host(`a.org`))", "at character 14: expected &&, || or the end, found )"),
        ("(Host(`a.org`)", "at character 15: expected &&, || or the ) for the ( at character 1, found the end"),
        ("()", "at character 2: expected a matcher, ! or (, found )"),
        ("(Host)(`a.org`)", "at character 6: expected ( after Host, found )"),
        (f"{HOST_A} &&", "at character 17: expected a matcher, ! or (, found the end"),
        (f"|| {HOST_A}", "at character 1: expected a matcher, ! or (, found ||"),
        (f"{HOST_A} !{HOST_B}", "at character 15: expected &&, || or the end, found !"),
        (f"{HOST_A} {HOST_B}", "at character 15: expected &&, || or the end, found Host"),
        (f"{HOST_A} and {HOST_B}", "at character 15: expected &&, || or the end, found and"),
        (f"{HOST_A} & {HOST_B}", "at character 15: a single &"),
        (f"{HOST_A} | {HOST_B}", "at character 15: a single |"),
        (f"{HOST_A} == {HOST_B}", "at character 15: unexpected '='"),
        (f"{HOST_A} // all", "at character 15: unexpected '/'"),
        (f"{HOST_A}\x00", "at character 14: unexpected '\\\\x00'"),
        (f"{HOST_A}\xa0", "at character 14: unexpected"),
        ("`a.org`", "at character 1: expected a matcher, ! or (, found `a.org`"),
        ("!" * MAX_DEPTH + HOST_A, "at character 33: parentheses and negations are nested more than 32 deep"),
        ("(" * 4000, "at character 33: parentheses and negations are nested"),
        ("hOST(`a.org`)", "at character 1: hOST is not a matcher of http rules"),
        ("Hots(`a.org`)", "at character 1: Hots is not a matcher of http rules"),
        (f"{HOST_A} && Headers(`a`, `b`)", "at character 18: Headers is not a matcher"),
        ("HostSNI(`a.org`)", "HostSNI is not a matcher of http rules"),
        ("x" * 4000, "is not a matcher of http rules"),
        ("Host()", "at character 1: Host takes 1 argument, not 0"),
        ("Host(`a.org`, `b.org`)", "at character 1: Host takes 1 argument, not 2"),
        ("Header(`X-A`)", "Header takes 2 arguments, not 1"),
        ("HeaderRegexp(`X-A`)", "HeaderRegexp takes 2 arguments, not 1"),
        ("Query()", "Query takes 1 or 2 arguments, not 0"),
        ("QueryRegexp(`a`, `b`, `c`)", "QueryRegexp takes 1 or 2 arguments, not 3"),
        ("Host(``)", "at character 6: Host has an empty argument"),
        ("Query(`q`, ``)", "at character 12: Query has an empty argument"),
        ("Header(``, `1`)", "at character 8: Header has an empty argument"),
        ("Host(`a b`)", "at character 6: Host(`a b`) is not a host name"),
        ("Host(`a\nb`)", "at character 6: Host(`a\\nb`) is not a host name"),
        ("Host(`a.org:80`)", "Host(`a.org:80`) is not a host name"),
        ("Host(`*a.org`)", "is not a host name"),
        ("Host(`*.*.a.org`)", "is not a host name"),
        ("Host(`::1`)", "is not a host name"),
        ("Host(`bücher.org`)", "outside ASCII"),
        ("HostRegexp(`bücher`)", "outside ASCII"),
        ("HostRegexp(`{name:[a-z]+}.org`)", "a { that belongs to no count"),
        ("HostRegexp(`(a`)", "at character 12: HostRegexp(`(a`) has, at character 1 of the expression, a ( that"),
        ("PathRegexp(`(a+)+`)", "in two ways"),
        ("PathRegexp(`/a b`)", "only Traefik decodes"),
        ("PathRegexp(`/a%20b`)", "only Traefik decodes"),
        ("Path(`css`)", "at character 6: Path(`css`) does not begin with a slash"),
        ("PathPrefix(`css`)", "does not begin with a slash"),
        ("Path(`/a?b=c`)", "has a query or a fragment"),
        ("Path(`/{id}`)", "takes literally"),
        ("Path(`/caf%C3%A9`)", "has %C3, but Traefik compares the decoded path"),
        ("Path(`/a%2fb`)", "has %2f, but"),
        ("Path(`/100%`)", "has %, but"),
        ("Path(`/a\tb`)", "has a control character"),
        ("Path(`/\ud800`)", "has a control character"),
        ("Method(`G T`)", "is not an HTTP method"),
        ("Method(`g\u0131t`)", "is not an HTTP method"),
        ("Header(`X A`, `1`)", "is not a header name"),
        ("Header(`X-A`, ` 1`)", "has a character no header may carry"),
        ("Header(`X-A`, `é`)", "has a character no header may carry"),
        ("Header(`Host`, `a.org`)", "never matches"),
        ("HeaderRegexp(`host`, `a`)", "never matches"),
        ("Query(`a=b`)", "no usable name of a query parameter"),
        ("Query(`q`, `é`)", "outside visible ASCII"),
        ("QueryRegexp(`q`, `[`)", "never closed"),
        ("ClientIP(`1`)", "at character 10: ClientIP(`1`) is neither an address nor a network"),
        ("ClientIP(`192.0.2.0/255.255.255.0`)", "neither an address nor a network"),
        ("ClientIP(`192.0.2.0/33`)", "neither an address nor a network"),
        ("ClientIP(`192.0.2.07`)", "neither an address nor a network"),
        ("ClientIP(`fe80::1%eth0`)", "neither an address nor a network"),
        ("ClientIP(`192.0.2.7, 192.0.2.8`)", "neither an address nor a network"),
        ('Host("a\\qb")', "at character 8: the escape \\q means nothing"),
        ('Host("\\\'")', "at character 7: the escape \\' means nothing"),
        ('Host("\\xg0")', "the escape \\x means nothing"),
        ('Host("\\400")', "the escape \\4 means nothing"),
        ('Path("/\\xff")', "at character 6: the string is not text in UTF-8"),
        ('Path("/\\ud800")', "the string is not text in UTF-8"),
        ('Path("/\\U00110000")', "the string is not text in UTF-8"),
        ('Path("/\ud800")', "the string is not text in UTF-8"),
    ],
)
def test_bad(rule, message):
    """A malformed rule is refused with the place, the piece at fault and a remedy."""
    with pytest.raises(BadValue) as caught:
        parse(rule)
    assert message in str(caught.value)
    assert caught.value.remedy
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (HOST_A, "Host is not a matcher of tcp rules"),
        ("HostSNI(`a b`)", "is not a host name"),
        ("HostSNI(`a.org`, `b.org`)", "HostSNI takes 1 argument, not 2"),
        ("HostSNIRegexp(`(?=a)`)", "not every proxy reads"),
        ("ALPN(`acme-tls/1`)", "is what Traefik keeps"),
        ("ALPN(`h 2`)", "is not the name of a protocol"),
    ],
)
def test_bad_tcp(rule, message):
    """The same for a TCP route."""
    with pytest.raises(BadValue) as caught:
        parse(rule, "tcp")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        ("Hots(`a.org`)", "did you mean Host?"),
        ("Headers(`a`, `b`)", "did you mean Header?"),
        ("hostregex(`a`)", "did you mean HostRegexp?"),
        ("HostSNI(`a.org`)", "HostSNI belongs to tcp routes"),
        ("xyz(`a.org`)", "write one of ClientIP, Header, HeaderRegexp, Host, "),
        ("Host(`a`, `b`)", "write Host once for each value, with || between them"),
    ],
)
def test_remedy(rule, remedy):
    """What people coming from elsewhere write is answered with what to write here."""
    with pytest.raises(BadValue) as caught:
        parse(rule)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("rule", "protocol", "priority"),
    [
        (HOST_A, "http", 13),
        (f"  {HOST_A} ", "http", 16),
        ("Path(`/é`)", "http", 11),
        ("Host(`*`)", "http", 9),
        ("HostSNI(`a.org`)", "tcp", 16),
        ("HostSNI(`*`)", "tcp", -1),
        ("  ( HostSNI ( `*` ) )", "tcp", -1),
        ("!HostSNI(`*`)", "tcp", -1),
        ("HostSNI(`*`) && ClientIP(`::1`)", "tcp", 31),
    ],
)
def test_default_priority(rule, protocol, priority):
    """Without a priority of its own a rule has its length, except for the one that takes every connection."""
    assert default_priority(rule, protocol) == priority


LEAVES = {
    HOST_A: A,
    "HostRegexp(`^(a|b)[)]\\.`)": Test("host_regex", r"^(a|b)[)]\."),
    "PathPrefix(`/) && (`)": Test("path_start", "/)%20&&%20("),
    'Header(`X-A`, `"x"`)': Test("header", '"x"', "x-a"),
    "Query(`q`)": Test("query", "", "q"),
    "Host(`*`)": ALWAYS,
}


def compound(inner: st.SearchStrategy[tuple[str, Match]]) -> st.SearchStrategy[tuple[str, Match]]:
    """A negation or two to four terms with an operator between them, as text in parentheses and as its meaning."""

    def joined(terms: list[tuple[str, Match]], operator: str, kind: type[All] | type[AnyOf]) -> tuple[str, Match]:
        texts, matches = zip(*terms, strict=True)
        return f"({operator.join(texts)})", kind(matches)

    return st.one_of(
        inner.map(lambda term: (f"!{term[0]}", Not(term[1]))),
        st.builds(joined, st.lists(inner, min_size=2, max_size=4), st.sampled_from(["&&", " && "]), st.just(All)),
        st.builds(joined, st.lists(inner, min_size=2, max_size=4), st.sampled_from(["||", "\n|| "]), st.just(AnyOf)),
    )


@given(st.recursive(st.sampled_from(list(LEAVES.items())), compound, max_leaves=12))
@settings(deadline=None, max_examples=300)
def test_round_trip(written):
    """Any nesting is read back as itself, and can be multiplied out."""
    text, match = written
    assume(depth(match) < MAX_DEPTH)
    assert parse(text) == match
    with contextlib.suppress(TooManyAlternatives):
        alternatives(match)


def depth(match: Match) -> int:
    """Return how deep the expression is nested."""
    inner = [match.term] if isinstance(match, Not) else [] if isinstance(match, Test) else match.terms
    return 1 + max(map(depth, inner), default=0)


FLAT = st.recursive(
    st.sampled_from(["a", "b", "c", "d"]),
    lambda inner: st.one_of(
        inner.map("!{}".format),
        inner.map("({})".format),
        st.tuples(inner, st.sampled_from([" && ", "||"]), inner).map("".join),
    ),
    max_leaves=10,
)


@given(FLAT, st.frozensets(st.sampled_from("abcd")))
@settings(deadline=None, max_examples=300)
def test_precedence(text, true):
    """A rule holds exactly when Python, whose not, and, or bind alike, says so."""
    assume(text.count("(") + text.count("!") < MAX_DEPTH)
    rule = re.sub("[a-d]", lambda letter: f"Host(`{letter[0]}`)", text)
    plain = text.replace("!", " not ").replace("&&", " and ").replace("||", " or ")
    assert holds(parse(rule), true) == eval(plain, {letter: letter in true for letter in "abcd"})


def holds(match: Match, true: frozenset[str]) -> bool:
    """Evaluate an expression the plain way, for the hosts that are true."""
    match match:
        case Test(value=value):
            return value in true
        case Not(term):
            return not holds(term, true)
        case All(terms):
            return all(holds(term, true) for term in terms)
        case AnyOf(terms):
            return any(holds(term, true) for term in terms)


SCRAPS = st.sampled_from(
    [
        *LEAVES,
        *"!()`\"',\\ \ud800\x00\né",
        *("&&", "||", "&", "Host", "Header(", "Path(`", "Query(", "ClientIP(`", "ALPN(", "`)", "HostSNI(`*`)"),
        *("\\x", "\\u00e9", "\\101", "::ffff:1.2.3.4/", "%2F", "(a+)+", "[z"),
    ]
)


@given(st.one_of(st.text(), st.lists(SCRAPS, max_size=20).map("".join)), st.sampled_from(["http", "tcp"]))
@settings(deadline=None, max_examples=500)
def test_any_text(text, protocol):
    """Any text is a rule or a bad value whose place is inside of it."""
    try:
        parse(text, protocol)
        default_priority(text, protocol)
    except BadValue as caught:
        bad = caught
    else:
        return
    place = re.match(r"at character ([0-9]+): ", bad.message)
    assert bad.message == "is empty" or (place and 1 <= int(place[1]) <= len(text) + 1)
    assert (bad.message + bad.remedy).isprintable()


@given(st.text(), st.sampled_from(["Host", "Path", "PathRegexp", "Method", "ClientIP", "Query"]))
@settings(deadline=None, max_examples=300)
def test_any_argument(text, matcher):
    """Any argument is usable or a bad value, and what comes out is fit for a configuration file."""
    with contextlib.suppress(BadValue):
        found = parse(f"{matcher}(`{text.replace('`', '')}`)")
        assert re.fullmatch("[ -~]+", str(found))
