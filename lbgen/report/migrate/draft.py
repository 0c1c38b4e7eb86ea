"""A settings file with comments: what was decided and why, and what is left for a person."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from lbgen.base.problem import printable
from lbgen.settings import Settings

Path = tuple[str, ...]
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "~", "y", "n"}
_WIDTH = 118
_LONGEST = 1000  # characters of a comment


@dataclass(slots=True)
class Draft:
    """Settings in the making."""

    document: dict[str, Any] = field(default_factory=dict)
    comments: dict[Path, str] = field(default_factory=dict)  # beside a key
    decide: list[str] = field(default_factory=list)  # what a person has to look at
    left: list[tuple[str, str]] = field(default_factory=list)  # option of Traefik's, reason

    def put(self, path: Path, value: object, comment: str = "") -> None:
        """Set a value; a comment is shown beside it."""
        here = self.document
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value
        if comment:
            self.comments[path] = comment

    def try_(self, path: Path, value: object, option: str, comment: str = "") -> bool:
        """Set a value that comes from an option of Traefik's, if lbgen takes it; if not, say why."""
        before = json.loads(json.dumps(self.document))
        self.put(path, value, comment)
        if refused := self.refused():
            self.document = before
            self.comments.pop(path, None)
            self.leave(option, refused)
            return False
        return True

    def refused(self) -> str:
        """Say why lbgen does not take the settings as they are; empty: it does."""
        try:
            Settings.model_validate(json.loads(json.dumps(self.document)))
        except ValidationError as error:
            return "; ".join(dict.fromkeys(str(item["msg"]).removeprefix("Value error, ") for item in error.errors()))
        return ""

    def leave(self, option: str, reason: str) -> None:
        """Note that an option is not carried over."""
        self.left.append((option, reason))

    def text(self, of: str) -> str:
        """Return the file.

        Args:
            of: what it was made from, in words.
        """
        lines = [*_comment(f"Settings of lbgen, made by `lbgen migrate traefik` from {of}.")]
        if self.decide:
            lines += ["#", "# To decide:"]
            for number, item in enumerate(self.decide, 1):
                lines += _comment(item, f"{number}. ")
        ordered = {key: self.document[key] for key in sorted(self.document, key=_place)}
        lines += ["", *self._lines(ordered, ())]
        if self.left:
            lines += ["", "# Not carried over:"]
            reasons: dict[str, list[str]] = {}
            for option, reason in self.left:
                reasons.setdefault(reason, []).append(option)
            for reason, options in reasons.items():
                lines += _comment(f"{', '.join(options)}: {reason}", "- ")
        return "\n".join(lines) + "\n"

    def _lines(self, section: Mapping[str, Any], path: Path) -> Iterator[str]:
        indent = "  " * len(path)
        for key, value in section.items():
            here = (*path, key)
            short = isinstance(value, Mapping) and _is_short(value)
            inner = [self.comments.get((*here, name), "") for name in value] if short else []
            comment = "; ".join(filter(None, [self.comments.get(here, ""), *inner]))
            beside = f"  # {printable(comment, _LONGEST)}" if comment else ""
            if isinstance(value, Mapping) and value and not short:
                yield f"{indent}{key}:{beside}"
                yield from self._lines(value, here)
            else:
                yield f"{indent}{key}: {_flow(value)}{beside}"


def _place(section: str) -> int:
    """Return where a section stands in the file, what is about the proxy's surroundings first."""
    return list(Settings.model_fields).index(section)


def _is_short(value: Mapping[str, Any]) -> bool:
    return all(not isinstance(item, Mapping | list) for item in value.values()) and len(_flow(value)) < 60


def _flow(value: object) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _comment(text: str, mark: str = "") -> list[str]:
    """Return a comment; nothing of what somebody else wrote ends a line of it."""
    first = f"# {mark}"
    return textwrap.wrap(
        printable(text, _LONGEST),
        _WIDTH,
        initial_indent=first,
        subsequent_indent="#" + " " * (len(first) - 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
