"""A regular expression over the beginning of a text, and what stands in its place: ``^/api/(.*) /v2/$1``.

The expression is one that every proxy reads alike (`regex`) and begins with ``^``: it is found in one place at most.
In what replaces it ``$1`` or ``${1}`` is what the first group found, ``$9`` the last one that there can be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lbgen.labels.values.http import path
from lbgen.labels.values.policy import clean_path
from lbgen.labels.values.regex import regex
from lbgen.labels.values.value_type import BadValue, value_type

Parts = tuple[tuple[str, str], ...]

MAX_TEXT = 512  # characters of what stands in its place
MAX_GROUP = 9
_REFERENCE = re.compile(r"\$(?:\{([^{}]*)\}|([A-Za-z0-9_]+)|(.?))")
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!&()*+,;=%-]*")


@dataclass(frozen=True, slots=True, order=True)
class Substitution:
    """What an expression finds at the beginning, and what stands there then; the rest of the text stays."""

    regex: str  # begins with ^, or (?i)^, and has no alternatives outside of groups
    parts: Parts  # ("text", "/v2/"), ("group", "1")

    def __str__(self) -> str:
        """As a label writes it."""
        return f"{self.regex} " + "".join(f"${{{text}}}" if kind == "group" else text for kind, text in self.parts)


@dataclass(frozen=True, slots=True, order=True)
class UrlRedirect:
    """A redirect of the requests whose URL an expression finds, unless it would lead to the same URL."""

    url: Substitution  # of scheme://host/path?query, as the client sent it
    code: int  # 301, 302, 307, 308; 0: that of the key redirect.code

    def __str__(self) -> str:
        """As a label writes it, and the status."""
        return f"{self.url} ({self.code})"


def substitution(expression: str, text: str) -> Substitution:
    """Put both together.

    Raises:
        BadValue: the expression is none, begins anywhere, or lacks a group that the text refers to.
    """
    regex(expression)
    if not expression.removeprefix("(?i)").startswith("^") or _alternatives(expression):
        raise BadValue("has an expression that is not only for the beginning", "write it as ^..., or ^(?:...|...)")
    return Substitution(expression, _parts(text, len(re.findall(r"\((?!\?)", _bare(expression)))))


def anywhere(expression: str, text: str) -> tuple[str, str]:
    """Turn an expression for the first place into one for the beginning, and what replaces it with it.

    What stands before the place becomes the first group.
    """
    folded = "(?i)" if expression.startswith("(?i)") else ""
    rest = expression.removeprefix(folded)
    if rest.startswith("^") and not _alternatives(rest):
        return expression, text
    regex(expression)
    shifted = _REFERENCE.sub(lambda match: _next_group(match[1] or match[2] or "", match[0]), text)
    return f"{folded}^(.*?)(?:{rest})", f"${{1}}{shifted}"


def only_place(expression: str, text: str) -> tuple[str, str]:
    """The same for an expression all of whose places are meant, if there is never more than one.

    Raises:
        BadValue: there may be several places.
    """
    rest = expression.removeprefix("(?i)")
    if not (rest.startswith("^") and not _alternatives(rest)) and not _takes_the_end(rest):
        raise BadValue("has an expression that may be found in several places", "begin it with ^")
    return anywhere(expression, text)


def _next_group(number: str, written: str) -> str:
    return f"${{{int(number) + 1}}}" if re.fullmatch("[1-9]", number) else written


def _takes_the_end(expression: str) -> bool:
    """Tell whether the end of the text belongs to what is found: by a $, or by a last .* that nothing competes with."""
    without_escapes = re.sub(r"\\.", "_", expression)
    if _alternatives(expression):
        return False
    return without_escapes.endswith("$") or (
        "|" not in without_escapes and bool(re.search(r"\.[*+]\)*$", without_escapes))
    )


def _bare(expression: str) -> str:
    """Return the expression with _ in place of all that is escaped or in a class: what is left is syntax."""
    return re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", lambda match: "_" * len(match[0]), expression)


def _alternatives(expression: str) -> bool:
    """Tell whether the expression has alternatives outside of groups."""
    depth = 0
    for char in _bare(expression):
        depth += (char == "(") - (char == ")")
        if char == "|" and not depth:
            return True
    return False


def _parts(text: str, groups: int) -> Parts:
    if len(text) > MAX_TEXT:
        raise BadValue(f"has a replacement of {len(text)} characters", f"keep it below {MAX_TEXT} characters")
    parts, at = [], 0
    for match in _REFERENCE.finditer(text):
        number = match[1] if match[1] is not None else match[2]
        if number is None:
            raise BadValue("has a $ that belongs to no group", "write $1 or ${1}, and %24 for the character itself")
        if not re.fullmatch("[1-9]", number) or int(number) > groups:
            raise BadValue(
                f"refers to group {number}, and there are {min(groups, MAX_GROUP)}",
                "write $1 to $9, as ${1} before a letter or a digit, and put ( ) around what is to be kept",
            )
        parts += [("text", text[at : match.start()]), ("group", number)]
        at = match.end()
    parts.append(("text", text[at:]))
    return tuple(part for part in parts if part[1])


@value_type(r"[^ ]+ +[^ ]+")
def path_substitution(text: str) -> Substitution:
    """``EXPRESSION PATH``: another path in place of what is found at the beginning of the path."""
    return path_from(*_words(text, "an expression and a path, as in ^/api/(.*) /v2/$1"))


def path_from(expression: str, text: str) -> Substitution:
    """Put together a substitution whose result is a path: it begins with a slash of its own."""
    made = substitution(expression, text)
    if not _begins_with_slash(expression.removeprefix("(?i)"), made.parts):
        raise BadValue("does not make a path that begins with a slash", "write the slash, as in ^/api/(.*) /$1")
    clean_path(path)("/" + "".join(piece for kind, piece in made.parts if kind == "text"))
    return made


def _begins_with_slash(expression: str, parts: Parts) -> bool:
    """Tell whether the result does, since the path does: by a text, or by a first group that is its beginning."""
    (kind, first), *rest = parts or (("text", ""),)
    if kind == "text":
        return first.startswith("/")
    if first != "1" or not _begins_with_a_group(expression):
        return False
    after = rest[0] if rest else ("", "")
    empty = expression.startswith("^(.*?)") and after[0] == "text" and after[1].startswith("/")
    return empty or expression.startswith("^(/")


def _begins_with_a_group(expression: str) -> bool:
    """Tell whether ``^(...)`` is how it begins, and the group is not one that may be left out."""
    plain = _bare(expression)
    if not plain.startswith("^("):
        return False
    depth = 0
    for at, char in enumerate(plain):
        depth += (char == "(") - (char == ")")
        if char == ")" and not depth:
            return plain[at + 1 : at + 2] not in ("?", "*", "{")
    return False


@value_type(r"[^ ]+ +[^ ]+(?: +[^ ]+ +[^ ]+)*", lambda redirects: " ".join(str(each.url) for each in redirects))
def url_redirects(text: str) -> tuple[UrlRedirect, ...]:
    """``EXPRESSION URL``, and more of them with spaces between; the first that is found decides."""
    example = "expressions and URLs by turns, as in ^https?://www\\.example\\.org/(.*) https://example.org/$1"
    words = text.split()
    if len(words) < 2 or len(words) % 2:
        raise BadValue("is not a list of expressions and URLs", f"write {example}")
    pairs = zip(words[::2], words[1::2], strict=True)
    return tuple(UrlRedirect(url_from(expression, url), 0) for expression, url in pairs)


def url_from(expression: str, text: str) -> Substitution:
    """Put together a substitution whose result is a URL.

    What a client sent never comes first, or ``//elsewhere.example`` would lead there, unless it is where its own URL
    begins: the first group of ``^(...``.
    """
    made = substitution(expression, text)
    (kind, first), *_ = made.parts or (("text", ""),)
    beginning = expression.removeprefix("(?i)")
    own = beginning.startswith(("^(h", "^(.*", "^(.+")) and _begins_with_a_group(beginning)
    whole = kind == "group" and first == "1" and own
    if not (whole or _of_either_scheme(beginning, made.parts)) and (
        kind != "text" or not re.match(r"https?://[^/]|https?://$|/(?![/\\])", first)
    ):
        raise BadValue(
            "does not lead to a URL", "begin with https://NAME/, an absolute path, or $1 of an expression ^(http...)"
        )
    if not all(_URL.fullmatch(piece) for kind, piece in made.parts if kind == "text"):
        raise BadValue("has a character that no URL may have", "percent-encode it, such as %20 for a space")
    return made


def _of_either_scheme(expression: str, parts: Parts) -> bool:
    """Tell whether a URL begins with ``http${1}://NAME``, where the group is an s or nothing, as in ``^http(s)?://``."""
    if len(parts) < 3 or parts[0] != ("text", "http") or parts[1][0] != "group" or parts[2][0] != "text":
        return False
    starts = [found.start() for found in re.finditer(r"\((?!\?)", _bare(expression))]
    group = expression[starts[int(parts[1][1]) - 1] :]
    return bool(re.match(r"\(s\)\??|\(s\?\)", group) and re.match("://[^/]", parts[2][1]))


def _words(text: str, what: str) -> tuple[str, str]:
    words = text.split()
    if len(words) != 2:
        raise BadValue(f"is not {what}", "write both, with a space between")
    return words[0], words[1]
