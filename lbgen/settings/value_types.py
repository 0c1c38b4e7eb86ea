"""The types that settings have in common: durations, sizes, lists, ADDRESS:PORT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from lbgen.base.address import split_bind
from lbgen.labels.values import basic, policy
from lbgen.labels.values.value_type import BadValue
from lbgen.render.templates import builtin_names
from lbgen.settings.section import Section as Section

T = TypeVar("T")


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("write a duration with its unit, such as 500ms, 10s or 1m")
    return _parse(basic.duration(0, 86400), value)


def _size(value: object) -> int:
    return _parse(policy.size, str(value))


def _parse(parser: Callable[[str], T], text: str) -> T:
    """Read a setting that has the form of a label's value."""
    try:
        return parser(text)
    except BadValue as bad:
        raise ValueError(f"{bad.message}; {bad.remedy}") from bad


def _network(text: str) -> str:
    return _parse(basic.network, text)


def split_list(value: object) -> object:
    """Accept one item, or items separated by commas (as in the environment), for a list."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class PathIn:
    """Marks a text, or a list of them, in which there may be paths."""

    is_path: Callable[[str], bool]
    single: bool = False  # a text, and no list separated by commas


Seconds = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=str),
    Field(json_schema_extra={"examples": ["500ms", "10s", "1m"]}),
]
Size = Annotated[
    int,
    BeforeValidator(_size, json_schema_input_type=str | int),
    Field(json_schema_extra={"examples": ["64m", "512k"]}),
]
Texts = Annotated[list[str], BeforeValidator(split_list, json_schema_input_type=str | list[str])]
Networks = Annotated[
    list[Annotated[str, AfterValidator(_network)]],
    BeforeValidator(split_list, json_schema_input_type=str | list[str]),
    Field(json_schema_extra={"examples": [["10.0.0.0/8", "2001:db8::/32"]]}),
]
Program = Annotated[str, PathIn(lambda text: "/" in text, single=True)]  # a name is looked up in PATH
Templates = Annotated[
    list[str],
    BeforeValidator(split_list, json_schema_input_type=str | list[str]),
    PathIn(lambda text: text not in builtin_names()),
]
Paths = Annotated[list[Path], BeforeValidator(split_list, json_schema_input_type=str | list[str])]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


def _valid_bind(text: str) -> str:
    split_bind(text)
    return text


Bind = Annotated[str, AfterValidator(_valid_bind)]
Port = Annotated[int, Field(ge=1, le=65535)]
