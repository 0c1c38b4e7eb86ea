r"""What a path may mean to an application that decodes it further than a proxy does: regular expressions for that.

Proxies match the normal form of a path: slashes merged, dot segments removed, unreserved characters decoded, escapes
in upper case. Applications go further, each in its own way: they take ``%2F``, ``%5C`` and ``\`` for slashes, cut off
what follows a ``;`` in a segment, before or after they decode it, some of them decode twice. A guard has to hold
however the path is read, so `may_be_below` holds if it is below the guarded one in any of these readings, and
`is_below` only if it is in all of them.

The expressions read alike in PCRE2 and in Go's RE2, on the normal path and on Nginx's ``$uri``, which is decoded
once. They take time in proportion to the text: whatever repeats ends at a character that it cannot read itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

LONGEST = 4000  # bytes of an expression: Nginx reads words of 4095, where each backslash is two
NEVER = r"\b\B"
ALWAYS = "^"

# An escape of an escape, and so on, is the character to an application that decodes that often.
_ENCODED_SLASH = r"%(?:25)*(?:2[fF]|5[cC])"
_SLASH = rf"(?:[/\\]|{_ENCODED_SLASH})"
_SEMICOLON = r"(?:;|%(?:25)*3[bB])"
_DOT = r"(?:\.|%(?:25)*2[eE])"
_END = rf"(?:{_SLASH}|{_SEMICOLON}|\z)"
# From one segment to the next; parameters end at a slash, and segments that are empty or a dot do not count.
_NEXT = rf"(?:{_SLASH}|{_SEMICOLON}[^/]*/)"
# Whether the slash belongs to the parameters is a matter of taste: what follows may be anywhere.
_HIDDEN = rf"{_SEMICOLON}[^/]*(?:\\|{_ENCODED_SLASH})"
_UP = rf"{_SLASH}{_DOT}{_DOT}{_END}"

# A character of a segment, which no decoder takes for a slash or a percent sign; one that is no dot; the first of one
# that goes on after two dots.
_CHAR = r"(?:[^/\\%]|%(?:[013467-9A-Fa-f][0-9A-Fa-f]|2[0-46-9A-Da-d]|5[0-9ABD-Fabd-f]))"
_NO_DOT = _CHAR.replace("%]", "%.]", 1)
_NO_MARK = r"(?:[^/\\%;]|%(?:[01467-9A-Fa-f][0-9A-Fa-f]|2[0-46-9A-Da-d]|3[0-9AC-Fac-f]|5[0-9ABD-Fabd-f]))"
_NOT_UP = rf"(?:\.?(?:{_NO_DOT}{_CHAR}*)?|\.\.{_NO_MARK}{_CHAR}*)"
_DOWN = rf"(?:/{_NOT_UP}(?:{_SLASH}{_NOT_UP})*)?\z"

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_PIECE = re.compile("(?:%[0-9A-Fa-f]{2})+|.", re.DOTALL)

# Paths that mean another one to an application that decodes them in full, or may do so.
ODD = r"[;\\]|%(?:2[fF]|5[cC]|3[bB]|25[0-9A-Fa-f][0-9A-Fa-f])"


@lru_cache(maxsize=4096)
def may_be_below(path: str) -> str:
    """Return the expression of paths that some application takes for this one, or for one below it.

    A path that goes up where the normal form does not, as ``/x/..%2F`` and ``/x/..;/``, may be anywhere.

    Args:
        path: absolute, in normal form.
    """
    names = _names(path)
    if not names:
        return ALWAYS
    for escape in ("%(?:25)*", "%"):
        expression = _tolerant(names, escape)
        if _fits(expression):
            return expression
    while names:  # what is asked about more paths than it has to be guards them all the same
        names.pop()
        expression = _tolerant(names, "%")
        if _fits(expression):
            return expression
    return ALWAYS


@lru_cache(maxsize=4096)
def is_below(path: str) -> str:
    """Return the expression of paths that every application takes for this one, or for one below it.

    Args:
        path: absolute, in normal form.
    """
    if path == "/":
        return ALWAYS
    if not _readable(unquote_to_bytes(path)):
        return NEVER
    expression = f"^{''.join(map(_sent, _PIECE.findall(path)))}{_DOWN}"
    return expression if _fits(expression) else NEVER


def _fits(expression: str) -> bool:
    return len(expression.encode()) + expression.count("\\") <= LONGEST


def _names(path: str) -> list[str]:
    """Return the segments of a path that count once it is decoded, up to the first that no expression can say."""
    names = []
    for segment in unquote_to_bytes(path).replace(b"\\", b"/").split(b"/"):
        if not _readable(segment):
            break
        name = segment.decode()
        if name.partition(";")[0] not in ("", "."):
            names.append(name)
    return names


def _readable(text: bytes) -> bool:
    """Tell whether PCRE, which reads bytes, and Go, which reads UTF-8, can be given the text as it is."""
    try:
        return text.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _tolerant(names: list[str], escape: str) -> str:
    if not names:
        return ALWAYS
    rest = _END
    for name in reversed(names):
        begun = rest if rest is _END else f"(?:{rest}|{_HIDDEN})"
        text = "".join(_spelled(char, escape) for char in name)
        rest = f"{_NEXT}(?:{_DOT}?{_NEXT})*(?:{text}{begun}|{_DOT}?{_HIDDEN})"
    return f"^{rest}|{_UP}"


def _spelled(char: str, escape: str) -> str:
    """Return an expression for the character, plain or with the escapes that it may have."""
    if char == "%":  # what follows may make it an escape of itself
        return "%(?:25)*"
    if escape == "%" and char in _UNRESERVED:
        return _plain(char)
    return f"(?:{_plain(char)}|{_escaped(char, escape)})"


def _sent(piece: str) -> str:
    """Return an expression for a character or a run of escapes as it was sent, or decoded where that is harmless."""
    if not piece.startswith("%"):
        return _plain(piece)
    text = ""
    for char in unquote_to_bytes(piece).decode():
        escaped = _escaped(char, "%")
        text += escaped if char in "/\\;%." else f"(?:{_plain(char)}|{escaped})"
    return text


def _plain(char: str) -> str:
    return f"\\{char}" if char in r"\.^$*+?{}[]|()" else char


def _escaped(char: str, escape: str) -> str:
    return "".join(escape + _hex(byte) for byte in char.encode())


def _hex(byte: int) -> str:
    """Return an expression for the two digits of an escape, in either case."""
    return "".join(f"[{digit}{digit.lower()}]" if digit.isalpha() else digit for digit in f"{byte:02X}")
