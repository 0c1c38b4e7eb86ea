"""How a listener logs its requests: ``off``, ``json``, ``combined``, or a section that says where to as well."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from lbgen.settings.value_types import Section

_TO = re.compile(r"stdout|/[\w./-]+|syslog:(?:/[\w./-]+|[0-9.]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5})", re.ASCII)


def _section(value: object) -> object:
    """Take a format for a section, and off (false to YAML) for none."""
    if value in ("off", False, None):
        return None
    return {"format": value} if isinstance(value, str) else value


class AccessLogSettings(Section):
    """One line for each request of a listener."""

    format: Literal["json", "combined"] = "json"
    """`json`: an object, with the same keys for all proxies but Traefik; `combined`: a line as Apache writes it."""
    to: str = "stdout"
    """`stdout`: the proxy's standard output; /PATH of a file; `syslog:ADDRESS:PORT` or `syslog:/dev/log`."""

    @field_validator("to")
    @classmethod
    def _known(cls, value: str) -> str:
        if not _TO.fullmatch(value):
            raise ValueError("write stdout, the absolute path of a file, syslog:ADDRESS:PORT or syslog:/dev/log")
        return value


AccessLogging = Annotated[
    AccessLogSettings | None,
    BeforeValidator(_section, json_schema_input_type=Literal["off", "json", "combined", False] | AccessLogSettings),
    Field(json_schema_extra={"default": "off"}),
]
