"""The Jinja2 environment that templates run in: sandboxed, strict, and safe to print values with.

Text that templates themselves produce (macros, blocks) may span lines; a *value* with a control character is an
error wherever it is printed, so that nothing from a label can break out of its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import unquote

from jinja2 import BytecodeCache, ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateRuntimeError
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from lbgen.handshakes import Handshakes
from lbgen.labels.values import spell_duration
from lbgen.model.tables import by_host, in_order
from lbgen.problem import printable
from lbgen.render import quoting

# The names that every template sees, for messages about those it does not.
CONTEXT = (
    *("listeners", "routes", "backends", "servers", "certificates", "users", "client_cas", "problems", "target"),
    *("options", "settings", "snapshot", "generation", "context_version"),
)


class Produced(str):
    """Text that a template produced, as opposed to a value it was given."""

    __slots__ = ()


class _Undefined(StrictUndefined):
    """An error as soon as it is used, which says what name was probably meant."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        inside = self._undefined_obj
        known = CONTEXT if inside is missing else inside if isinstance(inside, Mapping) else dir(inside)
        close = difflib.get_close_matches(str(self._undefined_name), [str(name) for name in known], n=1)
        return super()._undefined_message + (f"; did you mean {close[0]}?" if close else "")


class Environment(ImmutableSandboxedEnvironment):
    """Sandbox whose macros and blocks return `Produced` text."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse whatever a path can do: settings have paths, and a template has no business with files."""
        return not isinstance(obj, Path) and super().is_safe_attribute(obj, attr, value)

    @staticmethod
    def concat(parts: Iterable[str]) -> Produced:
        """Join what a template, block or macro printed."""
        return Produced("".join(parts))


class _Compiled(BytecodeCache):
    """Keeps compiled templates in memory: saving one costs the compiling of that one, not of the whole set."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the code of this very source, if it is known."""
        known = self._known.get(bucket.key)
        if known and known[0] == bucket.checksum:
            bucket.code = known[1]

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        if bucket.code:
            self._known[bucket.key] = bucket.checksum, bucket.code


def environment(directories: list[Path], builtin: Path, quote: str) -> Environment:
    """Return the environment for a template set.

    Args:
        directories: searched in order.
        builtin: directory of the built-in sets; ``haproxy/haproxy.cfg.j2`` always means the built-in file.
        quote: the grammar whose quoting the filter ``quote`` applies.
    """
    sets = {path.name: FileSystemLoader(path) for path in sorted(builtin.iterdir()) if path.is_dir()}
    env = Environment(
        loader=ChoiceLoader([FileSystemLoader(directories), PrefixLoader(sets)]),
        undefined=_Undefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        bytecode_cache=_Compiled(),
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    env.filters |= {
        "in_order": in_order,
        "by_host": by_host,
        "handshakes": Handshakes,
        "quote": quoting.QUOTING[quote],
        "word": quoting.word,
        "duration": spell_duration,
        "decoded": unquote,
        "regex_literal": quoting.regex_literal,
        "indent": _producing(env.filters["indent"]),
        "trim": _producing(env.filters["trim"]),
    }
    return env


def printed(value: Any) -> Any:
    """Let a value be printed, unless it contains a control character (or half a character: no file could hold it)."""
    if isinstance(value, Produced):
        return value
    text = str(value)
    if not text.isprintable() and any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in text
    ):
        raise TemplateRuntimeError(f"prints a value with a control character: {printable(text)!r}")
    return value


def _producing(filter_: Callable[..., str]) -> Callable[..., str]:
    """Keep produced text what it is through a filter that only moves it."""

    def moved(value: str, *args: Any, **kwargs: Any) -> str:
        result = filter_(value, *args, **kwargs)
        return Produced(result) if isinstance(value, Produced) else result

    return moved
