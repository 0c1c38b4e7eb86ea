"""``python -m lbgen.render.compile_builtin``: compile the built-in sets where byte code is kept.

For images: who runs one can write nothing there, so that each start would compile them again.
"""

from __future__ import annotations

from lbgen.render.environment import environment
from lbgen.render.templates import BUILTIN, SUFFIX, builtin_names, find


def compile_builtin() -> None:
    """Compile every template of every built-in set, unless its code is there."""
    for name in builtin_names():
        templates = find([name])
        env = environment(list(templates.directories), BUILTIN, templates.manifest.quote)
        for path in (BUILTIN / name).rglob(f"*{SUFFIX}"):
            env.get_template(str(path.relative_to(BUILTIN / name)))


if __name__ == "__main__":
    compile_builtin()
