"""The golden cases: ``<case>.yaml`` is a snapshot, ``<case>.settings.yml`` its settings; test_golden.py tries them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lbgen.daemon import assembly
from lbgen.model import Model, build
from lbgen.render.credentials import CredentialReader, Credentials
from lbgen.render.renderer import Files, Renderer
from lbgen.report.golden import GoldenSuite
from lbgen.settings import Settings, TargetSettings, load_settings
from lbgen.snapshot import Snapshot
from lbgen.source.file import load
from tests.support.paths import FIXTURES, TESTS

GOLDEN = TESTS / "golden" / "haproxy"
CASES = sorted(GOLDEN.glob("*.yaml"))
SHARED = [case for case in CASES if case.stem != "options"]  # those are HAProxy's
# What each set is tried on. Nginx and Traefik write for these versions, whatever program there is.
TRIALS = {
    "haproxy": (GoldenSuite(["haproxy"], GOLDEN, suffix=".cfg"), CASES),
    "nginx": (
        GoldenSuite(["nginx"], GOLDEN, golden=GOLDEN.parent / "nginx", suffix=".cfg", options={"version": "1.22.1"}),
        SHARED,
    ),
    "traefik": (
        GoldenSuite(["traefik"], GOLDEN, golden=GOLDEN.parent / "traefik", suffix=".yml", options={"version": "3.7"}),
        SHARED,
    ),
}
CERTIFICATES = FIXTURES / "certificates"  # for these tests alone, and expired


class Beside(CredentialReader):
    """Finds the certificates of tests/fixtures, as if they lay in certs/ beside the files; no others."""

    def __init__(self) -> None:
        super().__init__(Settings(certificates=CERTIFICATES))

    def read(self) -> Credentials:
        """Return them."""
        found = super().read().certificates
        return Credentials(tuple(replace(certificate, path=f"certs/{certificate.name}") for certificate in found))


def settings_of(case: Path) -> Settings:
    """Return the case's settings."""
    path = case.with_suffix(".settings.yml")
    return load_settings(path if path.exists() else None, {}, {})


def renderer_of(case: Path, output: Path | None = None, name: str = "edge") -> Renderer:
    """Return a renderer as `lbgen render` would make it.

    Args:
        output: another directory, whose certificates are those in certs/ there; None: `Beside`.
    """
    settings = settings_of(case)
    target = settings.targets.get("edge") or TargetSettings(templates=["haproxy"])
    if output:
        target = target.model_copy(update={"output": output})
        settings = settings.model_copy(update={"certificates": output / "certs"})
    made = assembly.Assembly(name, target, settings).renderer()
    if not output:
        made.credentials = Beside()
    return made


def modelled(case: Path) -> tuple[Model, Snapshot]:
    """Return the case's model, and the snapshot it comes of."""
    snapshot = load(case)
    return build(snapshot, settings_of(case).rules()), snapshot


def rendered(case: Path, output: Path | None = None) -> Files:
    """Return the case's files."""
    return renderer_of(case, output).render(*modelled(case))
