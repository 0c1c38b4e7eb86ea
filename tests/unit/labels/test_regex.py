"""`lbgen.labels.values.regex`: expressions that every proxy reads alike and none takes ages over."""

from __future__ import annotations

import contextlib
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.values.regex import MAX_DEPTH, MAX_REGEX, longest_text, regex, tree
from lbgen.labels.values.regex_cost import LONGEST_TEXT
from lbgen.labels.values.regex_tree import Chars, Choice, Node, Repeat, Sequence
from lbgen.labels.values.value_type import BadValue

WORDS = "|".join(f"w{index:02}" for index in range(99))


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "^/api/v[0-9]+/",
        r"^[a-z0-9-]+\.example\.org$",
        r"\.(?:jpe?g|png|gif|js|json|css|svgz?|ttf|woff2?)$",
        r"^([0-9]{1,3}\.){3}[0-9]{1,3}$",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "^[0-9a-f]{64}$",
        "([0-9a-f]{2})+",
        r"^([a-z0-9]+(-[a-z0-9]+)*\.)+example\.org$",
        "^/(en|de|fr)(/|$)",
        r"^\/(?:[a-z]{2}\/)?blog(?:\/.*)?$",
        "^/(.*)/x/(.*)$",
        "^/.*/a/.*/b/.*$",
        "^/[^/]+/[^/]+/[^/]+/[^/]+/[^/]+/[^/]+$",
        "^[^&]*?a{2,5}?b+?$",
        "(foo|bar)+",
        "(a|ab)*",
        "(ab|ac)*",
        "(?i)^/products",
        r"\b\d\D\w\W\s\S\B",
        r"[\d\w.-]+",
        "[a-]",
        "[-a]",
        r"[\]\[^]",
        "[^a]",
        r"\{\}\_\ \-\/\"\'",
        "ab]",
        "()",
        "(|a)",
        "a{1000}",
        "." * MAX_REGEX,
        "(" * MAX_DEPTH + ")" * MAX_DEPTH,
    ],
)
def test_good(text):
    """An expression of the common grammar is taken as written."""
    assert regex(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty expression"),
        ("a" * (MAX_REGEX + 1), "513 characters"),
        ("a\nb", "control character"),
        ("\x00", "control character"),
        ("café", "outside ASCII"),
        ("(", "character 1 of the expression, a ( that is never closed"),
        ("a(b(c)", "character 2 of the expression, a ( that is never closed"),
        ("a)", "character 2 of the expression, a ) that nothing opens"),
        ("[a", "a [ that is never closed"),
        ("[", "a [ that is never closed"),
        ("[a-", "a [ that is never closed"),
        ("[]a]", "a ] in a class"),
        ("[[:alpha:]]", "character 2 of the expression, a [ in a class"),
        ("[a-[b]", "a range without order"),
        ("[z-a]", "a range without order"),
        (r"[\d-z]", "a range without order"),
        (r"[a-\d]", "a range without order"),
        (r"[^\w\W]", "a class of no character"),
        (r"[\b]", r"\b, which proxies read differently"),
        ("a\\", "a backslash with nothing after it"),
        ("[\\", "a backslash with nothing after it"),
        (r"(.)\1", r"character 4 of the expression, the backreference \1"),
        (r"\k<a>", r"the backreference \k"),
        (r"\g1", r"the backreference \g"),
        (r"\x41", r"\x, which proxies read differently"),
        (r"\n", r"\n, which proxies read differently"),
        (r"\Aa\z", r"\A, which proxies read differently"),
        (r"\Qa", r"\Q, which proxies read differently"),
        (r"\pL", r"\p, which proxies read differently"),
        ("(?=a)", "(?=a, which not every proxy reads"),
        ("(?!a)", "(?!a, which not every proxy reads"),
        ("(?<=a)b", "(?<=, which not every proxy reads"),
        ("(?>a)", "(?>a, which not every proxy reads"),
        ("(?P<n>a)", "(?P<, which not every proxy reads"),
        ("(?<n>a)", "(?<n, which not every proxy reads"),
        ("(?i:a)", "(?i:, which not every proxy reads"),
        ("a(?i)b", "(?i), which not every proxy reads"),
        ("(?#a)", "(?#a, which not every proxy reads"),
        ("(*UTF)a", "a * with nothing to repeat"),
        ("*a", "a * with nothing to repeat"),
        ("(a|+b)", "a + with nothing to repeat"),
        ("^*", "a quantifier after an anchor"),
        (r"\b+", "a quantifier after an anchor"),
        ("a**", "a quantifier after a quantifier"),
        ("a*+", "a quantifier after a quantifier"),
        ("a+??", "a quantifier after a quantifier"),
        ("a{2}{3}", "a quantifier after a quantifier"),
        ("{x:a}", "a { that belongs to no count"),
        ("a{,5}", "character 2 of the expression, a { that belongs to no count"),
        ("a{x}", "a { that belongs to no count"),
        ("a}", "character 2 of the expression, a } that belongs to no count"),
        ("a{5,2}", "the count {5,2}"),
        ("a{0}", "the count {0}"),
        ("a{12345}", "the count {12345}"),
        ("a{1001}", "multiply to more than 1000"),
        ("(a{50}b){50}", "multiply to more than 1000"),
        ("(" * 300, f"groups nested more than {MAX_DEPTH} deep"),
    ],
)
def test_bad(text, message):
    """What proxies read differently, or one of them not at all, is refused with its place."""
    with pytest.raises(BadValue) as caught:
        regex(text)
    assert message in str(caught.value)
    assert caught.value.remedy


TWICE = "can read the same text in two ways"
EMPTY = "can be empty"
CHAIN = "more than 2 repetitions in a row"
WAYS = "too many optional parts"
INTRICATE = "too intricate"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(a+)+", TWICE),
        ("(a{1,30}){1,30}", TWICE),
        ("(?:a|a)*", TWICE),
        ("(a|b|a)*", TWICE),
        ("(ab|ab)*", TWICE),
        ("(a|aa)+", TWICE),
        (r"(\w|\d)+", TWICE),
        ("(?i)(a|A)*", TWICE),
        ("(a.|.b)*", TWICE),
        ("(x+x+)+y", TWICE),
        ("([a-z]+[0-9]?)+", TWICE),
        ("(b|(a+)+)c", TWICE),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", TWICE),
        ("(%[0-9A-F]{2}|[^/])+", TWICE),
        ("(a*)*", EMPTY),
        ("(a|)+", EMPTY),
        ("(a?){20}", EMPTY),
        ("(^)*", EMPTY),
        (r"\d+\d+\d+\d+x", CHAIN),
        ("a*a*[bc]", CHAIN),
        ("a*a*a*[bc]", CHAIN),
        (r"\w*\w*\w*[!~]", CHAIN),
        ("[a-z]*[a-z]*[a-z]*[12]$", CHAIN),
        ("a.*b.*c", CHAIN),
        ("^" + "(a|ab)" * 4 + ".*x.*y", WAYS),
        ("^.*a.*b.*c.*$", CHAIN),
        ("(.*a){16}", CHAIN),
        ("[a-f]{1,9}[a-f]{0,9}[a-e]{2,}e*x", CHAIN),
        (".*a" * 100, CHAIN),
        ("a?" * 30 + "a" * 30, WAYS),
        ("(a|ab)" * 30, WAYS),
        ("(a|)" * 30, WAYS),
        (f"({WORDS})*", INTRICATE),
        ("(" + "|".join("abcdefghij" * 20) + ")+", INTRICATE),
    ],
)
def test_explosive(text, message):
    """What a backtracking engine could take ages over is refused."""
    with pytest.raises(BadValue) as caught:
        regex(text)
    assert message in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["(a|A)*", "(?i)(a|B)*", f"{WORDS}", "(a?b)*", "(a|b)(a|b)*"])
def test_not_explosive(text):
    """Near misses are not refused."""
    assert regex(text) == text


SCRAPS = st.sampled_from([*"ab(|)[^]{}*+?\\.$-,:=!<dwbzP1", "(?:", "(?i)", "{2}", "{1,3}", "{2,}", "[a-c]", "(a|b)"])


@given(st.one_of(st.text(), st.lists(SCRAPS, max_size=30).map("".join)))
@settings(deadline=None, max_examples=500)
def test_any_text(text):
    """Any text is refused as a bad value, or is an expression Python reads too."""
    with contextlib.suppress(BadValue), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Python plans set operators such as [a--b]
        re.compile(regex(text))


def derivations(node: Node, counts: list[int], text: str) -> list[int]:
    """Return in how many ways a backtracker reaches each place of the text, given those for each place to begin at."""
    match node:
        case Chars(mask):
            read = [count * (mask >> ord(char) & 1) for count, char in zip(counts, text, strict=False)]
            return [0, *read]
        case Sequence(parts):
            for part in parts:
                counts = derivations(part, counts, text)
            return counts
        case Choice(parts):
            return summed(derivations(part, counts, text) for part in parts)
        case Repeat(part, low, high):
            reached = [counts]
            while any(reached[-1]) and len(reached) <= (len(text) if high is None else high):
                reached.append(derivations(part, reached[-1], text))
            return summed(reached[low:]) if reached[low:] else [0] * len(counts)


def summed(rows) -> list[int]:
    """Add the rows up, place by place."""
    return [sum(column) for column in zip(*rows, strict=True)]


EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", ".", "[^a]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,30}", "{2,}?"])).map(
            lambda it: f"({it[0]}){it[1]}"
        ),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.text("ab", min_size=1, max_size=3), st.booleans())
@settings(deadline=None, max_examples=400)
def test_accepted_is_tame(expression, word, anchored):
    """The ways to try an accepted expression, from every place, grow with the square of the text's length at most, and
    with the length itself where it is asked about texts of any length."""
    failing = f"{'^' * anchored}{expression}x"  # all ways are tried in vain
    with contextlib.suppress(BadValue):
        regex(failing)
        text = (word * 60)[:60]
        begun = [1, *[int(not anchored)] * len(text)]
        tries = sum(derivations(tree(f"{expression}"), begun, text))
        assert tries <= 64 * len(text) ** (2 if longest_text(failing) else 1)


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("^/v[12]/", None),
        ("(?i)bot", None),
        (r"\.(php|html?)$", None),
        ("(^|; )canary=1", None),
        (".*bot.*", None),
        (r"^https?://(.+)\.old\.org/(.*)$", None),
        (r"^[a-z]+\.[a-z]+\.example\.org$", None),
        (r"[a-z]+\.example\.org$", LONGEST_TEXT),
        ("a.*b", LONGEST_TEXT),
        ("a*[bc]", LONGEST_TEXT),
        ("^a*a*[bc]", LONGEST_TEXT),
        ("^.*/edit/.*/x", LONGEST_TEXT),
    ],
)
def test_longest_text(text, longest):
    """Only an expression that is quadratic is kept from long texts; one that is found anywhere counts as one more loop,
    and what cannot fail at its end as none."""
    assert (regex(text), longest_text(text)) == (text, longest)
