"""A listener that leads all its requests to another one: the name of that, or a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import BeforeValidator, Field

from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue
from lbgen.model.entries import ListenerRedirect
from lbgen.settings.value_types import Section


def _section(value: object) -> object:
    """Take a name for a section of defaults."""
    return {"to": value} if isinstance(value, str) else value


class HttpListener(Protocol):
    """What a redirect has to know of the listener that it leads to."""

    protocol: Literal["http", "tcp", "udp"]

    @property
    def as_clients_see(self) -> int:
        """The port that clients connect to."""


class ListenerRedirectSettings(Section):
    """Where all requests are led: to the same host, path and query with another scheme and port."""

    to: str
    """Listener that they are led to, on the port that its clients see, or :PORT."""
    scheme: Literal["https", "http"] = "https"
    permanent: bool = True
    """Answer 308, which browsers remember; if not, 307."""
    priority: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Routes of a higher priority go before it; default: none does."""

    def target(self, name: str, listeners: Mapping[str, HttpListener]) -> ListenerRedirect:
        """Return it as the model has it.

        Args:
            name: of the listener whose requests are redirected.
            listeners: all of them, by name.
        Raises:
            ValueError: there is no such listener.
        """
        if self.to.startswith(":"):
            port = _port(self.to[1:])
        elif self.to == name:
            raise ValueError(f"{name} would lead to itself; name another listener")
        elif self.to in listeners and listeners[self.to].protocol == "http":
            port = listeners[self.to].as_clients_see
        else:
            others = [other for other, its in listeners.items() if its.protocol == "http" and other != name]
            raise ValueError(f"there is no HTTP listener {self.to}; name {' or '.join([*others, ':PORT'])}")
        return ListenerRedirect(self.scheme, port, 308 if self.permanent else 307, self.priority)


def _port(text: str) -> int:
    try:
        return basic.port(text)
    except BadValue as bad:
        raise ValueError(f":{text} {bad.message}; {bad.remedy}") from bad


ListenerRedirecting = Annotated[
    ListenerRedirectSettings | None,
    BeforeValidator(_section, json_schema_input_type=str | ListenerRedirectSettings),
    Field(json_schema_extra={"examples": ["websecure"]}),
]
