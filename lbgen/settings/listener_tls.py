"""How a listener terminates TLS: ``true`` for what is recommended, or a section that says what differs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from lbgen.settings.value_types import Section


def _version_text(value: object) -> object:
    """Take 1.2, a number to YAML, for the text."""
    return str(value) if isinstance(value, float) else value


def _section(value: object) -> object:
    """Take true for a section of defaults, false for none."""
    if isinstance(value, bool):
        return {} if value else None
    if value is None or isinstance(value, dict | ListenerTlsSettings):
        return value
    raise ValueError('write true, false or a section, such as {minimum: "1.3"}')


class ListenerTlsSettings(Section):
    """How a listener terminates TLS: as Mozilla's "intermediate" recommends, and what differs from it."""

    minimum: Annotated[
        Literal["1.2", "1.3"], BeforeValidator(_version_text, json_schema_input_type=Literal["1.2", "1.3", 1.2, 1.3])
    ] = "1.2"
    """Oldest version of TLS that clients may use."""
    strict_sni: bool = False
    """Refuse handshakes for names that no certificate is for, and those without a name. If not, these clients are shown
    default.pem."""
    http3: bool = False
    """Of protocol http: also speak HTTP/3, on the UDP port of the same number, and tell clients so."""


ListenerTls = Annotated[
    ListenerTlsSettings | None,
    BeforeValidator(_section, json_schema_input_type=bool | ListenerTlsSettings),
    Field(json_schema_extra={"default": False}),
]
