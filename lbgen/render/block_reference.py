"""The blocks of templates: what an author can replace or add to, read from the templates themselves.

``python -m lbgen.render.block_reference > docs/blocks.md`` writes the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

from lbgen.base.errors import TemplateError
from lbgen.render.environment import Environment, environment
from lbgen.render.templates import BUILTIN, TemplateSet, builtin_names, find

_ABOUT = re.compile(r"\{%-?\s*block\s+(\w+)[^%]*%\}\{#-?\s*(.*?)\s*-?#\}", re.DOTALL)

INTRODUCTION = """\
# Blocks of the built-in templates

Written by `python -m lbgen.render.block_reference`; [templates.md](templates.md) shows how to use them.

A block of yours replaces what the built-in file has there; `{{ super() }}` in it stands for that. Some are written once
for each of many things, which they *have* by name (`{{ listener.name }}`); [context.md](context.md) describes those.
Blocks whose names end in `_extra` are empty, and only there to be filled.
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a template."""

    name: str
    about: str  # one sentence
    has: tuple[str, ...]  # names of the things that it is written for, besides the context


def blocks_of(templates: TemplateSet, template: str) -> list[Block]:
    """Return a template's blocks, in their order."""
    env = environment(list(templates.directories), BUILTIN, templates.manifest.quote)
    try:
        source, _, _ = env.loader.get_source(env, template)  # type: ignore[union-attr]
        return list(_blocks(env, source))
    except Exception as error:
        raise TemplateError(f"{template}: {error}") from error


def _blocks(env: Environment, source: str) -> Iterator[Block]:
    about = dict(_ABOUT.findall(source))
    for block, names in _walk(env.parse(source), ()):
        has = names if block.scoped else ()
        yield Block(block.name, " ".join(about.get(block.name, "").split()), has)


def _walk(node: nodes.Node, names: tuple[str, ...]) -> Iterator[tuple[nodes.Block, tuple[str, ...]]]:
    """Yield each block with the names of the loops around it."""
    for child in node.iter_child_nodes():
        inside = names
        if isinstance(child, nodes.For) and isinstance(child.target, nodes.Name):
            inside = (*names, child.target.name)
        if isinstance(child, nodes.Block):
            yield child, names
        yield from _walk(child, inside)


def markdown() -> str:
    """Return docs/blocks.md."""
    sections = [INTRODUCTION]
    for name in builtin_names():
        templates = find([name])
        for output in templates.outputs():
            lines = [f"## {name}/{output.template}", "", "| block | has | what it is |", "| --- | --- | --- |"]
            for block in blocks_of(templates, output.template):
                has = ", ".join(f"`{each}`" for each in block.has)
                lines.append(f"| `{block.name}` | {has} | {block.about} |")
            sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


if __name__ == "__main__":
    print(markdown(), end="")
