"""The stack files of tests/compose: what lbgen makes of each, as one text.

``<case>.yml`` is a stack file, ``<case>.override.yml`` one that is merged into it, ``<case>.env`` the environment,
``<case>.settings.yml`` the settings, ``<case>.stack`` the stack's name (default: the case's), and ``<case>.txt`` the
result: notes, problems, and where each route leads. ``UPDATE_GOLDEN=1 pytest tests/unit/source/test_compose_corpus.py``
writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lbgen.base import documents
from lbgen.base.errors import SourceError
from lbgen.model import Backend, Model, Route, Rules, build
from lbgen.settings import Settings, load_settings
from lbgen.snapshot import Snapshot
from lbgen.source.compose.load import load_stack
from tests.support.paths import TESTS

CORPUS = TESTS / "compose"
CASES = sorted(path for path in CORPUS.glob("*.yml") if "." not in path.stem)
SETTINGS = Settings.model_validate(
    {
        "listeners": {"web": {"bind": ":80"}, "websecure": {"bind": ":443", "tls": True}},
        "default_listeners": ["web"],
        "discovery": {
            "networks": [
                "traefik-public",
                "proxy",
                "edge",
                "https-edge_edge",
                "portainer_agent_network",
                "traefik-whoami_traefik-public",
            ]
        },
    }
)


def files_of(case: Path) -> list[Path]:
    """The case's files, in the order in which they are merged."""
    return [path for path in (case, case.with_suffix(".override.yml")) if path.exists()]


def variables_of(case: Path) -> dict[str, str]:
    """The case's environment."""
    path = case.with_suffix(".env")
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def settings_of(case: Path) -> Settings:
    """The case's settings, or those of most cases."""
    path = case.with_suffix(".settings.yml")
    return load_settings(path, {}, {}) if path.exists() else SETTINGS


def rules_of(case: Path) -> Rules:
    """The case's rules; all vocabularies of labels are read."""
    return replace(settings_of(case).rules(), dialects=("lbgen", "traefik", "dockerflow"))


def stack_of(case: Path) -> str:
    """The name that the case's stack is deployed under."""
    path = case.with_suffix(".stack")
    return path.read_text().strip() if path.exists() else case.stem


def snapshot_of(case: Path) -> Snapshot:
    """The case as a snapshot; errors and notes have the files' names only."""
    texts = [(path.name, path.read_text()) for path in files_of(case)]
    found = [(name, text, documents.parse(text, name, SourceError)) for name, text in texts]
    return load_stack(found, stack_of(case), variables_of(case))


def shown(case: Path) -> str:
    """Everything that comes of the case."""
    try:
        snapshot = snapshot_of(case)
    except SourceError as error:
        return f"refused:\n{error}\n"
    model = build(snapshot, rules_of(case))
    return "".join(f"{line}\n" for line in _lines(snapshot, model))


def _lines(snapshot: Snapshot, model: Model) -> Iterator[str]:
    for note in snapshot.notes:
        yield f"{'refused' if note.refused else 'note'}: {note}"
    for problem in model.problems:
        yield f"problem: {problem}"
    backends = {backend.name: backend for backend in model.backends}
    for route in model.routes:
        yield from _route(route, backends[route.backend])


def _route(route: Route, backend: Backend) -> Iterator[str]:
    yield f"route {route.name} ({route.protocol} on {', '.join(route.listeners)}) via {backend.via or '-'}"
    for alternative in route.alternatives:
        yield f"    if {' and '.join(map(str, alternative)) or 'always'}"
    for server in backend.servers:
        yield f"    {server.name} {server.address}:{server.port} {server.state} weight {server.weight}"
