"""What is wrong with one service, said so that its owner can mend it.

A problem is a value, not an exception: it drops one route, and everything else goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

# What may be a password, a token or a key: by its name, or by how it looks.
_NAME = r"auth|passw|secret|token|api-?key|users|servicecert|private"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"(?:\\?-){5}BEGIN|\\?\$(?:2[abxy]|apr1|[156])\\?\$|\{SHA\}|\b(?:basic|bearer)\\? \S"  # escaped, too
    r"|//[^/@\s]*:[^/@\s]+@"  # a URL with a password
    # What a rule compares with such a header or parameter.
    rf"|\b(?:Header|Query)s?(?:Regexp)?\s*\(\s*[`\"'][^`\"']*(?:{_NAME})",
    re.IGNORECASE,
)
_HEADER_LABEL = re.compile(
    r"(?:req|res)header$", re.IGNORECASE
)  # docker-flow's: the value begins with the header's name

_TELLING = 6  # so many characters of a secret tell of it
_QUOTED = re.compile(r"'[^']{4,}'|\"[^\"]{4,}\"|`[^`]{4,}`")
_LONGEST = 800  # characters of a message


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with one service, or with one node or file (then ``service`` is empty), or the fleet (all are).

    ``label`` and ``value`` are empty where the trouble is not in a label; ``value`` is as the user wrote it. All of it
    is safe to print: shortened, with control characters escaped, and without a value that may be a secret.
    """

    service: str  # the service's name, as `docker service ls` shows it
    message: str  # what is wrong
    remedy: str  # what to do about it
    label: str = ""
    value: str = ""
    route: str = ""  # the route it drops, unless it is a note on something left out; empty: not just one
    node: str = ""  # the node's hostname, where the trouble is a node's
    file: str = ""  # its path, where the trouble is a file's
    note: bool = False  # nothing is kept from being served: something is left out, or taken otherwise than written

    def __post_init__(self) -> None:
        if self.value and is_secret(self.label, self.value):
            for name in ("message", "remedy"):
                object.__setattr__(self, name, _without(getattr(self, name), self.value))
        # Names of services, nodes and networks are strangers' as well, and find their way into messages.
        for name in ("service", "message", "remedy", "label", "value", "route", "node", "file"):
            text = getattr(self, name)
            if not text.isprintable() or len(text) > _LONGEST:
                object.__setattr__(self, name, printable(text, _LONGEST))
        if self.value:
            object.__setattr__(self, "value", shown(self.label, self.value))

    @property
    def whose(self) -> str:
        """What has it: "service shop", "node node1", "file /etc/lbgen/certs/a.pem", "fleet"."""
        if self.file:
            return f"file {self.file}"
        if self.service:
            return f"service {self.service}"
        return f"node {self.node}" if self.node else "fleet"

    def __str__(self) -> str:
        return f"{self.whose}{f', {label_text(self.label, self.value)}' if self.label else ''}: {self.what}"

    @property
    def what(self) -> str:
        """What is wrong, and what to do about it."""
        return f"{self.message}; {self.remedy}"


def once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems with those in one that are the same for several routes: it names none of them then."""
    alike: dict[Problem, list[Problem]] = {}
    for problem in problems:
        alike.setdefault(replace(problem, route=""), []).append(problem)
    return tuple(same if len(found) > 1 else found[0] for same, found in alike.items())


def label_text(label: str, value: str) -> str:
    """Return a label and its value as messages show them."""
    return f"label {label}={value!r}" if value else f"label {label}"


def is_secret(name: str, value: str) -> bool:
    """Tell whether a value under this name may be a secret, or hold one by mistake."""
    if _HEADER_LABEL.search(name) and _SECRET_NAME.search(value):
        return True
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))


def _without(message: str, secret: str) -> str:
    """Return a message without what it quotes of a value: its beginning, or that of an item, and any part in quotes."""
    for piece in sorted({secret, *secret.split(",")}, key=len, reverse=True):
        if len(piece.strip()) >= _TELLING:
            message = _without_beginning(message, piece.strip())
    return _QUOTED.sub(lambda quoted: "..." if quoted[0][1:-1] in secret else quoted[0], message)


def _without_beginning(message: str, text: str) -> str:
    """Return a message without what begins as the text does, as far as it goes on like it."""
    begun, at = re.compile(re.escape(text[:_TELLING]), re.IGNORECASE), 0
    while found := begun.search(message, at):
        end = found.end()
        for char, wanted in zip(message[end:], text[_TELLING:], strict=False):
            if char.lower() != wanted.lower():
                break
            end += 1
        message, at = f"{message[: found.start()]}...{message[end:]}", found.start() + 3
    return message


def shown(label: str, value: str) -> str:
    """Return a label's value fit for a log line; empty if it may be a secret."""
    return "" if is_secret(label, value) else printable(value)


def printable(value: str, limit: int = 80) -> str:
    """Return ``value`` fit for a log line: control characters escaped, at most ``limit`` characters long."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value[: limit + 1])
    return shown if len(value) <= limit else shown[:limit] + "..."
