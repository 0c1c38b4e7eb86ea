"""Log lines on standard error: one a cycle, the event first, stable keys, the unit in the key, no secrets."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from lbgen.base.problem import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from structlog.typing import FilteringBoundLogger

LONGEST = 4000  # characters of a line of a value
_LINES = ("error", "exception", "stack")  # what may have several lines: a checker's words, a traceback
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Log:
    """Loads structlog for the first line that is written: it takes longer than a command that has nothing to say."""

    def __init__(self) -> None:
        self.configure: Callable[[], None] | None = None  # to be called once it is loaded

    def __getattr__(self, name: str) -> Any:
        import structlog

        self.load()
        return getattr(structlog.get_logger(), name)

    def load(self) -> None:
        configure, self.configure = self.configure, None
        if configure is not None:
            configure()


_LOG = _Log()
log = cast("FilteringBoundLogger", _LOG)  # everybody's


def configure(level: str, format_: str) -> None:
    """Set up logging for this process; ``format_`` is "text" or "json"."""
    _LOG.configure = partial(_configure, level, format_, sys.stderr)
    if "structlog" in sys.modules:
        _LOG.load()


def _configure(level: str, format_: str, file: TextIO) -> None:
    import structlog

    renderer: Any = structlog.processors.JSONRenderer() if format_ == "json" else _text
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        # A line and its end in one write: the proxies that lbgen runs write to the same file.
        logger_factory=structlog.WriteLoggerFactory(file),
        cache_logger_on_first_use=False,
    )


def _text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """``TIME level event key=value ...``; the further lines of an error follow indented, as the proxy wrote them.

    Names of nodes, versions and whatever else comes from outside can neither begin a line nor control a terminal.
    """
    head = f"{event.pop('time')} {event.pop('level')} {event.pop('event')}"
    trailing = []
    for key, value in event.items():
        first, *rest = (str(value).strip("\n").split("\n") if key in _LINES else [str(value)]) or [""]
        head += f" {key}={_word(first)}"
        trailing += [f"    {printable(line, LONGEST)}" for line in rest]
    return "\n".join([head, *trailing])


def _word(text: str) -> str:
    plain = text.isprintable() and text and not any(char.isspace() or char in "\"'=" for char in text)
    shown = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return shown if plain else repr(shown)
