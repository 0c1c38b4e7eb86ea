"""``python -m scripts.reference.blocks`` prints docs/blocks.md, made from the built-in templates."""

from __future__ import annotations

from lbgen.render.block_reference import blocks_of
from lbgen.render.templates import builtin_names, find

INTRODUCTION = """\
# Blocks of the built-in templates

Written by `python -m scripts.reference.blocks`; [templates.md](templates.md) shows how to use them.

A block of yours replaces what the built-in file has there; `{{ super() }}` in it stands for that. Some are written once
for each of many things, which they *have* by name (`{{ listener.name }}`); [context.md](context.md) describes those.
Blocks whose names end in `_extra` are empty, and only there to be filled.
"""


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
