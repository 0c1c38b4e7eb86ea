"""The golden cases: ``<case>.yaml`` is a snapshot, ``<case>.settings.yml`` its settings, ``<case>.cfg`` what it gives.

``UPDATE_GOLDEN=1 pytest tests/test_render.py`` writes the ``.cfg`` files anew: read the diff.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lbgen import config, wiring
from lbgen.model import Model, build
from lbgen.named_files import NamedFiles, Reader
from lbgen.render import Files, Renderer
from lbgen.snapshot import Snapshot
from lbgen.source.file import load

GOLDEN = Path(__file__).parent / "golden" / "haproxy"
CASES = sorted(GOLDEN.glob("*.yaml"))
CERTIFICATES = Path(__file__).parent / "fixtures" / "certificates"  # for these tests alone, and expired


class Beside(Reader):
    """Finds the certificates of tests/fixtures, as if they lay in certs/ beside the files; no others."""

    def __init__(self) -> None:
        super().__init__(config.Settings(certificates=CERTIFICATES))

    def read(self) -> NamedFiles:
        """Return them."""
        found = super().read().certificates
        return NamedFiles(tuple(replace(certificate, path=f"certs/{certificate.name}") for certificate in found))


def settings_of(case: Path) -> config.Settings:
    """Return the case's settings."""
    path = case.with_suffix(".settings.yml")
    return config.load(path if path.exists() else None, {}, {})


def renderer_of(case: Path, output: Path | None = None, name: str = "edge") -> Renderer:
    """Return a renderer as `lbgen render` would make it.

    Args:
        output: another directory, whose certificates are those in certs/ there; None: `Beside`.
    """
    settings = settings_of(case)
    target = settings.targets.get("edge") or config.Target(templates=["haproxy"])
    if output:
        target = target.model_copy(update={"output": output})
    made = wiring.renderer_of(name, target, settings)
    if not output:
        made.reader = Beside()
    return made


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
