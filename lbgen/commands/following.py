"""What `run` and `render` without --once share: the loop, ended by signals, poked when files are saved."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence

from lbgen import config
from lbgen.authoring import watched
from lbgen.loop import Follower, Loop
from lbgen.named_files import Reader
from lbgen.render import Renderer
from lbgen.source import Source


def loop_of(settings: config.Settings, source: Source, followers: Sequence[Follower]) -> Loop:
    """Return the loop that keeps the followers at what the source says."""
    grace = settings.discovery.drain_grace
    return Loop(source, settings.rules(), followers, drain_grace=grace, files=Reader(settings))


def follow(loop: Loop, renderers: Iterable[Renderer], settings: config.Settings) -> None:
    """Run the loop until a signal ends it; render again when a template, a certificate or a users file is saved."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    signal.signal(signal.SIGHUP, lambda *_: loop.poke())
    directories = [directory for renderer in renderers for directory in renderer.templates.directories]
    named = (settings.certificates, settings.users, settings.client_cas)
    directories += [path for path in named if path.is_dir()]
    with watched(directories, loop.poke):
        loop.run()
