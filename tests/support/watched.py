"""A loop and targets that only look like some, for what reads them: tests set what they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lbgen.daemon.counters import Counters
from lbgen.daemon.drains import Drains
from lbgen.daemon.flapping import Flapping
from lbgen.daemon.history import Change, Failure, History
from lbgen.daemon.kept_labels import KeptLabels
from lbgen.daemon.quarantine import Quarantine
from lbgen.model import Model
from lbgen.proxies.output_lock import OutputLock
from lbgen.proxies.proxy import Seen
from lbgen.render.credentials import CredentialReader
from lbgen.render.renderer import Files, Renderer
from lbgen.snapshot import Cause, Snapshot
from lbgen.source import PartState
from lbgen.source.engine.source import Stats, state_of
from lbgen.source.file import FileSource
from tests.support.builders import a_renderer

AT = 1_795_341_600.0  # 2026-11-22T10:00:00Z


@dataclass
class FakeSource:
    """A source that follows a Swarm."""

    stats: Stats = field(
        default_factory=lambda: Stats(
            mode="push",
            no_push="",
            endpoint="unix:///var/run/docker.sock",
            cluster="c1",
            stream_age=1.25,
            drift=3,
            listings=7,
            reconnects=2,
            objects=99,
        )
    )

    def states(self) -> tuple[PartState, ...]:
        return (state_of(self.stats),)


@dataclass
class FakeFile:
    """A source that reads a file: it has nothing to tell of following."""

    paths: tuple[Path, ...] = (Path("/etc/lbgen/snapshot.yml"),)

    def states(self) -> tuple[PartState, ...]:
        return FileSource(self.paths).states()


@dataclass
class FakeLoop:
    """What there is to read of a loop."""

    source: object = field(default_factory=FakeSource)
    accepted: Snapshot | None = None
    model: Model = field(default_factory=Model)
    files: CredentialReader | None = None
    busy_since: float | None = None
    held: int = 0
    drains: Drains = field(default_factory=Drains)
    flapping: Flapping = field(default_factory=Flapping)
    kept: KeptLabels = field(default_factory=KeptLabels)
    counters: Counters = field(default_factory=Counters)


@dataclass
class FakeOldWorkers:
    """What there is to read of a proxy's old workers."""

    number: int | None = None


@dataclass
class FakeProxy:
    """What a proxy tells of its servers."""

    servers: dict[tuple[str, str], Seen] = field(default_factory=dict)

    def seen(self) -> dict[tuple[str, str], Seen]:
        """How it sees them."""
        return self.servers


@dataclass
class FakeTarget:
    """What there is to read of a target."""

    name: str = "edge"
    renderer: Renderer = field(default_factory=a_renderer)
    proxy: FakeProxy = field(default_factory=FakeProxy)
    ready: bool = False
    failing: bool = False
    failure: Failure | None = None
    running: Files | None = None
    history: History = field(default_factory=History)
    counters: Counters = field(default_factory=Counters)
    quarantine: Quarantine = field(default_factory=Quarantine)
    old_workers: FakeOldWorkers = field(default_factory=FakeOldWorkers)
    lock: OutputLock = field(default_factory=lambda: OutputLock(Path("/out")))  # not taken

    def applied(self, after: float = 0.0, *causes: Cause, **facts: object) -> None:
        """A change that was live so many seconds after AT."""
        change = Change(
            **{
                "at": AT + after,
                "target": self.name,
                "generation": f"{len(self.history.changes):012x}",
                "method": "runtime-api",
                "detail": "backend web: 1 added",
                "seconds": 0.02,
                "causes": causes,
                **facts,
            }
        )
        self.history.changes.append(change)
        self.running = Files({}, change.generation)
        self.ready = True
