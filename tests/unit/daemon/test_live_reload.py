"""What is read again when something is saved."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lbgen.daemon.assembly import Assembly
from lbgen.daemon.live_reload import LiveReload
from lbgen.daemon.loop import Inbox
from lbgen.report.preview import Preview, PreviewOptions
from lbgen.settings import Settings, load_settings
from lbgen.source.file import FileSource
from tests.support.golden_cases import GOLDEN, modelled

MINE = "{% extends 'haproxy/haproxy.cfg.j2' %}{% block extra %}\n# mine\n{% endblock %}"
_opened: list[str] = []
_hooked: list[Callable[[str, tuple[object, ...]], None]] = []


@pytest.fixture
def opened() -> list[str]:
    """The paths of the files that are opened, in order. An audit hook cannot be removed: there is one for all tests."""
    if not _hooked:
        _hooked.append(lambda event, args: _opened.append(str(args[0])) if event == "open" else None)
        sys.addaudithook(_hooked[0])
    _opened.clear()
    return _opened


class Site:
    """Two targets, each with a set of its own, rendered again at every save."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.file = directory, directory / "lbgen.yml"
        for name in ("one", "two"):
            (directory / name).mkdir()
            (directory / name / "set.yml").write_text("options: {mine: 1}\n")
            (directory / name / "haproxy.cfg.j2").write_text(MINE)
        targets = {name: {"templates": [f"{directory}/{name}", "haproxy"]} for name in ("one", "two")}
        self.file.write_text(f"targets: {targets!r}\n")
        self.age()
        self.reads = self.saves = 0
        settings = self.read()
        previews = {
            name: Preview(name, *Assembly(name, target, settings).preview(), PreviewOptions())
            for name, target in settings.targets.items()
        }
        self.previews = previews
        self.inbox = Inbox()
        source = FileSource(GOLDEN / "mesh.yaml")
        self.beside = directory / "beside"
        self.live = LiveReload(
            source, previews, settings, self.read, Assembly.preview, self.file, self.inbox, beside=[self.beside]
        )
        self.reads = 0

    def read(self) -> Settings:
        """Read the settings, and count it."""
        self.reads += 1
        return load_settings(self.file, {}, {})

    def age(self) -> None:
        """Have every file saved long ago: what was saved a moment ago is read again to be sure."""
        for path in self.directory.rglob("*"):
            os.utime(path, (1e9, 1e9))

    def save(self, name: str, text: str) -> None:
        """Save a file; have it taken over and everything rendered again."""
        (self.directory / name).write_text(text)
        self.saves += 1
        os.utime(self.directory / name, (1.1e9, 1.1e9 + self.saves))
        self.live.saved()
        for change in self.inbox.wait(0.0).changes:
            change()
        for preview in self.previews.values():
            preview.renderer.render(*modelled(GOLDEN / "mesh.yaml"))

    def sets_read(self, opened: list[str]) -> set[str]:
        """The sets of which a file was opened."""
        inside = [Path(path).relative_to(self.directory) for path in opened if path.startswith(f"{self.directory}/")]
        return {path.parts[0] for path in inside if len(path.parts) > 1}


@pytest.fixture
def site(tmp_path) -> Site:
    """Settings and sets that were saved long ago, and have been rendered."""
    made = Site(tmp_path)
    made.save("one/haproxy.cfg.j2", MINE + "\n")
    return made


def test_template(site, opened):
    """To save a template reads neither the settings nor the other target's set."""
    site.reads = 0
    opened.clear()
    site.save("one/haproxy.cfg.j2", MINE.replace("# mine", "# saved"))
    assert (site.reads, site.sets_read(opened)) == (0, {"one"})
    renderers = [preview.renderer for preview in site.previews.values()]
    texts = [renderer.render(*modelled(GOLDEN / "mesh.yaml")).texts["haproxy.cfg"] for renderer in renderers]
    assert ["# saved" in text for text in texts] == [True, False]


def test_settings(site):
    """To save the settings has them read, and the targets made anew."""
    before = {name: preview.renderer for name, preview in site.previews.items()}
    site.reads = 0
    site.save("lbgen.yml", site.file.read_text() + "certificates: /certs\n")
    assert site.reads == 1
    assert all(preview.renderer is not before[name] for name, preview in site.previews.items())


def test_what_settings_are_read_from_besides(site):
    """A file that settings are read from besides, such as what a hub has handed out, is watched and read like them."""
    assert site.beside in site.live.paths()
    site.reads = 0
    site.save("beside", "1")
    site.age()
    site.save("beside", "2")
    assert site.reads == 2


def test_files_of_traefik(site):
    """To save a file that the settings name has the settings read; it is watched from then on."""
    file = site.directory / "dynamic.yml"
    file.write_text("http: {middlewares: {a: {compress: {}}}}\n")
    site.save("lbgen.yml", site.file.read_text() + "discovery: {traefik: {files: dynamic.yml}}\n")
    assert file in site.live.paths()
    site.reads = 0
    site.save("dynamic.yml", "http: {middlewares: {b: {compress: {}}}}\n")
    assert site.reads == 1


def test_credentials_know_their_proxies(site):
    """What is too costly for a password depends on whom the files are for, also after the settings were saved."""
    assert site.live.loop.files.read().proxies == {"haproxy"}
    site.save("lbgen.yml", site.file.read_text() + "certificates: /certs\n")
    assert site.live.loop.files.read().proxies == {"haproxy"}


def test_manifest(site):
    """To save a manifest has it taken over: its options, say."""
    site.save("one/set.yml", "options: {mine: 2}\n")
    assert [preview.renderer.target.options["mine"] for preview in site.previews.values()] == [2, 1]


def test_broken_settings_are_read_until_mended(site):
    """What cannot be used is read at every save, whatever was saved; once it is mended, only if it is saved."""
    good = site.file.read_text()
    site.save("lbgen.yml", "targets: nonsense\n")
    site.reads = 0
    site.save("one/haproxy.cfg.j2", MINE + "\n# 2")
    assert site.reads == 1
    site.save("lbgen.yml", good)
    site.reads = 0
    site.save("one/haproxy.cfg.j2", MINE + "\n# 3")
    assert site.reads == 0
