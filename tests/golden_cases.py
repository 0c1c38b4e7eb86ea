"""The golden cases: ``<case>.yaml`` is a snapshot, ``<case>.settings.yml`` its settings, ``<case>.cfg`` what it gives.

``UPDATE_GOLDEN=1 pytest tests/test_render.py`` writes the ``.cfg`` files anew: read the diff.
"""

from __future__ import annotations

from pathlib import Path

from lbgen import config, wiring
from lbgen.model import Model, build
from lbgen.render import Files, Renderer
from lbgen.snapshot import Snapshot
from lbgen.source.file import load

GOLDEN = Path(__file__).parent / "golden" / "haproxy"
CASES = sorted(GOLDEN.glob("*.yaml"))


def settings_of(case: Path) -> config.Settings:
    """Return the case's settings."""
    path = case.with_suffix(".settings.yml")
    return config.load(path if path.exists() else None, {}, {})


def renderer_of(case: Path, output: Path | None = None, name: str = "edge") -> Renderer:
    """Return a renderer as `lbgen render` would make it, for another output directory or target if there is one."""
    settings = settings_of(case)
    target = settings.targets.get("edge") or config.Target(templates=["haproxy"])
    if output:
        target = target.model_copy(update={"output": output})
    return wiring.renderer_of(name, target, settings)


def modelled(case: Path) -> tuple[Model, Snapshot]:
    """Return the case's model, and the snapshot it comes of."""
    snapshot = load(case)
    return build(snapshot, settings_of(case).rules()), snapshot


def rendered(case: Path, output: Path | None = None) -> Files:
    """Return the case's files."""
    return renderer_of(case, output).render(*modelled(case))


def shown(case: Path) -> str:
    """Return everything that comes of the case as one text: the files as `lbgen render` prints them, the problems."""
    problems = "".join(f"# {problem}\n" for problem in modelled(case)[0].problems)
    files = "".join(f"# ======== {name} ========\n{text}" for name, text in rendered(case).texts.items())
    return files + (f"# ======== problems ========\n{problems}" if problems else "")
