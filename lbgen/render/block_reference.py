"""The blocks of templates: what an author can replace or add to, read from the templates themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

from lbgen.base.errors import TemplateError
from lbgen.render.environment import Environment, environment
from lbgen.render.templates import BUILTIN, TemplateSet

_ABOUT = re.compile(r"\{%-?\s*block\s+(\w+)[^%]*%\}\{#-?\s*(.*?)\s*-?#\}", re.DOTALL)


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
