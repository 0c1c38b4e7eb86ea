"""The contract with template authors, written down: `lbgen templates context`, as text or as JSON Schema.

Everything is read from the code: docstrings, types, and the comments behind dataclass fields.
``python -m lbgen.render.context_reference > docs/context.md`` writes the documentation.
"""

from __future__ import annotations

import inspect
import io
import re
import textwrap
import tokenize
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from itertools import pairwise
from typing import Any

from lbgen.model import CONTEXT_VERSION
from lbgen.render.context import Context
from lbgen.render.environment import FUNCTIONS, REMOVED, environment, filters
from lbgen.render.outputs import EACH
from lbgen.render.templates import BUILTIN

_SCALARS: Mapping[Any, str] = {str: "text", int: "integer", float: "number", bool: "boolean", type(None): "none"}
_SCHEMA: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_TABLE = re.compile(r"^=.*\n(?:.+\n)*", re.MULTILINE)  # in a docstring
SCHEMA = "https://json-schema.org/draft/2020-12/schema"

INTRODUCTION = f"""\
# What templates see

Written by `python -m lbgen.render.context_reference`; `lbgen templates context` prints it, and with `--json-schema` as
a schema.

This is version {CONTEXT_VERSION} of the contract, which templates have as `context_version`. It counts up when a
template that worked may no longer do so: a name, a field, a filter or a value is taken away or renamed, or its type,
unit, meaning or order changes. What is added does not count. Durations are seconds, sizes bytes. All lists are in an
order that depends on nothing but what is in them, so equal facts give equal bytes on any machine.

```jinja
{{% for backend in backends if backend.protocol == "http" %}}
# {{{{ backend.name }}}}: {{{{ backend.servers | selectattr("state", "equalto", "up") | list | length }}}} servers
{{% for server in backend.servers %}}
{{{{ server.address }}}}:{{{{ server.port }}}} weight={{{{ server.weight }}}}
{{% endfor %}}
{{% endfor %}}
```

A name that is not there is an error, as is printing a value with a control character: no label can break out of its
place. Text that templates produce themselves (macros, blocks, `{{% set x %}}...{{% endset %}}`) may span lines.
Templates run in a sandbox: they can read everything here and change nothing.
"""


def comments(cls: type) -> dict[str, str]:
    """Return the comment behind each field of a dataclass, or its docstring where a property has one."""
    by_field: dict[str, str] = {}
    field = ""
    depth = 0
    tokens = list(tokenize.generate_tokens(io.StringIO(textwrap.dedent(inspect.getsource(cls))).readline))
    for token, following in pairwise(tokens):
        depth += {tokenize.INDENT: 1, tokenize.DEDENT: -1}.get(token.type, 0)
        if depth == 1 and token.type == tokenize.NAME and following.string == ":" and token.start[1] == 4:
            field = token.string
        elif depth == 1 and token.type == tokenize.COMMENT and field:
            by_field.setdefault(field, token.string.lstrip("# "))
    for name, member in vars(cls).items():
        if isinstance(member, property):
            by_field[name] = (inspect.getdoc(member) or "").partition("\n")[0]
    return by_field


def public(cls: type) -> dict[str, Any]:
    """Return the type of every field and property that templates may read."""
    kinds = {name: kind for name, kind in typing.get_type_hints(cls).items() if not name.startswith("_")}
    for name, member in vars(cls).items():
        if isinstance(member, property) and member.fget:
            kinds[name] = typing.get_type_hints(member.fget)["return"]
    return {name: kind for name, kind in kinds.items() if typing.get_origin(kind) is not typing.ClassVar}


def described_types(root: type = Context) -> list[type]:
    """Return every dataclass that can be reached, each after the one that leads to it."""
    classes: list[type] = []
    waiting = [root]
    while waiting:
        cls = waiting.pop(0)
        if cls not in classes:
            classes.append(cls)
            waiting += [part for kind in public(cls).values() for part in _parts(kind) if _is_described(part)]
    return classes


def _is_described(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind)


def _parts(kind: Any) -> Iterator[Any]:
    yield kind
    for inner in typing.get_args(kind):
        yield from _parts(inner)


# ------------------------------------------------------------------------------------------------ as text


def markdown() -> str:
    """Return docs/context.md."""
    sections = [INTRODUCTION, _table("Names", Context)]
    sections.append(
        "A template that set.yml names with `for` has the thing that it is rendered for as well: "
        + ", ".join(f"`{name}` ({each})" for each, name in EACH.items())
        + ".\n"
    )
    sections += [_table(cls.__name__, cls) for cls in described_types()[1:]]
    return "\n".join([*sections, _filters()])


def _table(title: str, cls: type) -> str:
    about, known = _TABLE.sub(r"```text\n\g<0>```\n", inspect.cleandoc(cls.__doc__ or "")), comments(cls)
    lines = [f"## {title}", "", about, "", "| name | type | what it is |", "| --- | --- | --- |"]
    lines += [
        f"| `{name}` | {_cell(type_name(kind))} | {_cell(known.get(name, ''))} |" for name, kind in public(cls).items()
    ]
    return "\n".join(lines) + "\n"


def type_name(kind: Any) -> str:
    """Return a type as an author reads it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(type_name, arguments))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {type_name(arguments[0])}"
        return f"({', '.join(map(type_name, arguments))})"
    if origin and issubclass(origin, Mapping):
        return f"mapping to {type_name(arguments[1])}"
    if _is_described(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return "function" if origin is Callable or origin is typing.get_origin(Callable[..., str]) else "anything"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def _filters() -> str:
    made = environment([], BUILTIN, "none")
    own = filters("none")
    lines = ["## Functions", "", "| function | what it does |", "| --- | --- |"]
    lines += [f"| `{name}` | {_cell(_sentence(function))} |" for name, function in FUNCTIONS.items()]
    lines += ["", "## Filters", "", "| filter | what it returns |", "| --- | --- |"]
    lines += [f"| `{name}` | {_cell(_sentence(function))} |" for name, function in sorted(own.items())]
    others = sorted(set(made.filters) - set(own))
    tests = sorted(name for name in made.tests if name.isidentifier())
    jinja = "https://jinja.palletsprojects.com/en/stable/templates"
    return "\n".join(
        [
            *lines,
            "",
            f"[Jinja's own]({jinja}/#builtin-filters), as they are there: {_names(others)}. "
            f"There is no {_names(sorted(REMOVED))}.",
            "",
            "## Tests",
            "",
            f"[Jinja's own]({jinja}/#builtin-tests): {_names(tests)}.",
            "",
        ]
    )


def _sentence(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split()).removeprefix("Return ")


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# ------------------------------------------------------------------------------------------------ as a schema


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the context, functions left out."""
    definitions = {cls.__name__: _object(cls) for cls in described_types()[1:]}
    return {"$schema": SCHEMA, "title": f"lbgen context {CONTEXT_VERSION}", **_object(Context), "$defs": definitions}


def _object(cls: type) -> dict[str, Any]:
    known = comments(cls)
    members = {name: _of(kind) for name, kind in public(cls).items()}
    properties = {
        name: {**member, **({"description": known[name]} if known.get(name) else {})}
        for name, member in members.items()
        if member is not None
    }
    about = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
    return {
        "type": "object",
        "description": about,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _of(kind: Any) -> dict[str, Any] | None:
    """Return the schema of a type; None: it is not data."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _SCHEMA:
        return {"type": _SCHEMA[kind]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(part) for part in arguments]}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is tuple:
        parts = [_of(part) for part in arguments]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    if origin and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    if _is_described(kind):
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return None if type_name(kind) == "function" else {}


if __name__ == "__main__":
    print(markdown(), end="")
