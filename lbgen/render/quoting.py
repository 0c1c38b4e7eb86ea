"""One quoting filter for each configuration grammar.

A filter's result is one word of its grammar that the proxy reads back as exactly the value, whatever is in it;
control characters never get this far.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from lbgen.base.problem import printable
from lbgen.labels.values.value_type import BadValue

_YAML_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "{": "\\u007b", "}": "\\u007d"})
_LONGEST_COMMENT = 300  # characters
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=*-]+")


def haproxy(value: object) -> str:
    """Quote for haproxy.cfg: strong quotes keep everything but themselves.

    Source: HAProxy configuration manual, section 2.2 "Quoting and escaping".
    """
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def argument(value: object) -> str:
    """Quote for an argument of one of HAProxy's converters; the word that it is part of is quoted once more.

    Source: HAProxy configuration manual, section 2.2 and 7.3.1; src/arg.c, make_arg_list().
    """
    return "'" + str(value).replace("'", "'\\''") + "'"


def regex_literal(value: object) -> str:
    """Write a regular expression that finds this very text, in every grammar of regular expressions."""
    return re.sub(r"([^A-Za-z0-9_/ -])", lambda match: match[1] if ord(match[1]) > 127 else "\\" + match[1], str(value))


def decoded(value: object) -> str:
    """Return a percent-encoded text, a path say, as what it stands for."""
    return unquote(str(value))


def yaml(value: object) -> str:
    """Quote for YAML that may also be read as a Go template: every value, also one that YAML would leave a text.

    The result is a string of Go's as well (in Traefik's rules), so a value can be quoted twice.

    Source: YAML 1.2.2, section 7.3.1; Go, text/template; The Go Programming Language Specification, "String literals".
    """
    text = str(value)
    quoted = text.translate(_YAML_ESCAPES)
    if not text.isprintable():
        if any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in text):
            raise BadValue(f"{printable(text)!r} has a control character", "leave it out of this file")
        # Line separators and the like, which YAML would fold or refuse.
        quoted = "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
    return f'"{quoted}"'


def nginx(value: object) -> str:
    """Quote for nginx.conf: double quotes, in which a backslash keeps itself and quotes what they are.

    Where a directive puts variables in (``return``, ``proxy_set_header``), ``$`` stays the beginning of one: Nginx has
    no way to write the character itself there.

    Source: Nginx, src/core/ngx_conf_file.c, ngx_conf_read_token().
    """
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def word(value: object) -> str:
    """Return the value, or refuse it if it would not be one word of a line-based file such as a HAProxy map."""
    text = str(value)
    if not text or text.startswith("#") or any(char.isspace() for char in text):
        raise BadValue(f"{text!r} is not one word", "leave it out of this file")
    return text


def comment(value: object) -> str:
    """Return a text as it may stand in a comment that ends with its line: short, and without what ends it sooner.

    Traefik takes a file for a Go template first, and does not know of YAML's comments by then.
    """
    return printable(str(value), _LONGEST_COMMENT).replace("{", "(").replace("}", ")")


def none(value: object) -> str:
    """Return the value as one word of the set's grammar (set.yml: quote), which the proxy reads as this very value."""
    return str(value)


QUOTING: dict[str, Callable[[object], str]] = {"haproxy": haproxy, "nginx": nginx, "yaml": yaml, "none": none}
