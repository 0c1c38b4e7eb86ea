"""What makes Traefik lose its configuration or take half of one, and that lbgen steps into none of it.

Each test first has the real Traefik show the trap, where that is quick, then that what lbgen does is safe.
"""

from __future__ import annotations

import errno
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from lbgen.base.errors import ApplyFailed
from lbgen.proxies import disk
from lbgen.proxies.traefik.apply import DYNAMIC, STATIC
from tests.support.builders import a_listener, app
from tests.support.certificates import certificate
from tests.support.clients import Client
from tests.support.ports import free_port
from tests.support.real_traefik import BINARY, Process, generation_of, rendered, renderer, write
from tests.support.traefik_bench import bench, servers
from tests.support.wait import wait_for

__all__ = ["bench", "servers"]  # fixtures
pytestmark = pytest.mark.proxy(BINARY)


class Directory:
    """A Traefik that watches a directory, with one service's files in it."""

    def __init__(self, output: Path, port: int) -> None:
        self.output, self.server_port = output, port
        self.port, self.api = free_port(), free_port()
        self.listeners = [a_listener(port=self.port, address="127.0.0.1")]
        self.process: Process | None = None

    def write(self, *addresses: str, **keys: object) -> str:
        """Write the files; return their generation."""
        labels = {key.replace("_", "-"): value for key, value in keys.items()}
        made = renderer(self.output, probe=f"127.0.0.1:{self.api}")
        files = rendered(made, self.listeners, *app("web", labels, self.server_port, *addresses))
        write(files, self.output)
        return files.generation

    def start(self, **environment: str) -> Process:
        """Start Traefik."""
        os.environ.update(environment)
        try:
            self.process = Process(self.output / STATIC, self.api)
        finally:
            for name in environment:
                del os.environ[name]
        return self.process

    def status(self, **headers: str) -> int:
        """What a request is answered."""
        client = Client(self.port)
        try:
            return client.ask(headers=headers).status
        finally:
            client.close()


@pytest.fixture
def directory(short_dir, servers) -> Iterator[Directory]:
    """Nothing runs yet; what is started is ended with the test."""
    made = Directory(short_dir / "out", servers.port)
    yield made
    if made.process:
        made.process.stop()


def test_a_bad_file_freezes_the_directory(directory):
    """A file with an unknown field keeps Traefik from reading the others; lbgen's check refuses such a file."""
    before = directory.write("127.1.0.1")
    process = directory.start()
    process.serves(before)
    bad = directory.output / "dynamic/bad.yml"
    bad.write_text("http:\n  nonsense: {}\n")
    wait_for(lambda: "nonsense" in process.log.read_text(), "Traefik to complain")
    after = directory.write("127.1.0.2")
    wait_for(lambda: process.log.read_text().count("nonsense") > 1, "Traefik to complain again")
    assert process.generation() == before
    bad.unlink()
    process.serves(after)


@pytest.mark.parametrize("error", [errno.EBUSY, errno.EXDEV])
def test_nothing_is_written_in_place(bench, monkeypatch, error):
    """Where a file cannot be renamed over, it is left alone, and the remedy is told: half a file would be an outage."""
    target = bench.target(directory=True)
    bench.bring(target, "127.1.0.1")
    bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1")
    before = (bench.output / DYNAMIC).read_bytes(), (bench.output / DYNAMIC).stat().st_ino

    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        assert not bench.bring(target, "127.1.0.2")
    assert f"mount {bench.output} as a whole" in str(bench.logs[0]["error"])
    assert ((bench.output / DYNAMIC).read_bytes(), (bench.output / DYNAMIC).stat().st_ino) == before
    assert bench.answer() == "127.1.0.1"
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.2")
    assert (bench.output / DYNAMIC).stat().st_ino != before[1]


def test_other_errors_are_as_they_are(bench, monkeypatch):
    """A full disk is told as that."""
    target = bench.target(directory=True)

    def full(*_: object, **__: object) -> None:
        raise ApplyFailed("x: cannot be written") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(ApplyFailed, match=r"^x: cannot be written$"):
        target.proxy.write(bench.output, {})


def test_nothing_unfinished_is_in_the_directory(bench):
    """The only thing that ever happens in the watched directory is that a whole file appears under its name."""
    target = bench.target(directory=True)
    bench.bring(target, "127.1.0.1")
    bench.run()
    target.schedule.retry.hasten()
    bench.bring(target, "127.1.0.1")
    seen: list[tuple[str, str]] = []

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if not event.is_directory and event.event_type not in ("opened", "closed_no_write", "accessed"):
                seen.append((event.event_type, Path(str(event.dest_path or event.src_path)).name))

    observer = Observer()
    observer.schedule(Handler(), str(bench.output / "dynamic"))
    observer.start()
    try:
        for number in range(2, 6):
            assert bench.bring(target, f"127.1.0.{number}")
        (bench.output / "dynamic/end").touch()
        wait_for(lambda: ("created", "end") in seen, "the events")
    finally:
        observer.stop()
        observer.join()
    assert {name for _, name in seen} == {"lbgen.yml", "end"}
    assert {kind for kind, name in seen if name == "lbgen.yml"} <= {"created", "moved"}


def test_labels_are_no_templates(directory):
    """What looks like a template of Go's in a label stays what it is, in a file too."""
    value = '{{ env "SECRET" }}'
    generation = directory.write("127.1.0.1", **{"header.x-a": value, "health-check.path": "/{{.}}"})
    process = directory.start(SECRET="s3cret")
    process.serves(generation)
    router, _ = process.api.get("http/routers/web.web@file")
    assert router["rule"] == f"Header(`x-a`, `{value}`)"
    assert directory.status(**{"X-A": value}) == 200
    assert directory.status(**{"X-A": "s3cret"}) == 404
    # The trap is there: a file that says it plainly is run.
    plain = 'http:\n  routers:\n    plain:\n      rule: Host(`{{ env "SECRET" }}`)\n      service: noop@internal\n'
    (directory.output / "dynamic/plain.yml").write_text(plain)
    wait_for(lambda: process.api.get("http/routers/plain@file")[0], "the router")
    assert process.api.get("http/routers/plain@file")[0]["rule"] == "Host(`s3cret`)"


def test_never_an_empty_document(bench):
    """Before there is a document Traefik is told so, and keeps what it has; an empty one would be an answer."""
    target = bench.target(http=True)
    bench.bring(target, "127.1.0.1")
    process = bench.run()
    process.serves(generation_of(bench.output), "http")
    # A new lbgen, which knows nothing: its directory is gone.
    moved = bench.output.rename(bench.output.parent / "moved")
    successor = bench.target(http=True)
    assert wait_for_questions(successor)
    assert bench.answer() == "127.1.0.1"
    assert bench.bring(successor, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"
    assert (moved / DYNAMIC).exists()


def wait_for_questions(target) -> bool:
    """Wait until Traefik has asked this target's feed."""
    return bool(wait_for(lambda: target.proxy.feed.asked, "a question"))


def test_lbgen_gone_for_a_while(bench):
    """While nobody answers its questions Traefik serves on; when lbgen is back it goes on from there."""
    target = bench.target(http=True)
    bench.bring(target, "127.1.0.1")
    process = bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1")
    bench.unserve()
    wait_for(lambda: "Provider error" in process.log.read_text(), "Traefik to notice")
    assert bench.answer() == "127.1.0.1"
    target = bench.target(http=True)
    assert target.running is not None
    assert bench.bring(target, "127.1.0.2")
    assert bench.answer() == "127.1.0.2"


CHECKED = {"health_check": "http", "health_check.path": "/health", "health_check.interval": "1m"}


def test_the_same_again_changes_nothing(bench, servers):
    """Traefik forgets who is down when it gets something new; what is the same it is not given as something new."""
    keys = {**CHECKED, "health_check.interval": "100ms"}
    target = bench.target(http=True)
    bench.bring(target, "127.1.0.1", "127.1.0.9", **keys)
    process = bench.run()
    target.schedule.retry.hasten()
    assert bench.bring(target, "127.1.0.1", "127.1.0.9", **keys)
    servers.moods["127.1.0.9"] = "ill"
    try:
        url = f"http://127.1.0.9:{servers.port}"
        wait_for(lambda: process.health("web", "http").get(url) == "DOWN", "the ill server to be down")
        asked = target.proxy.feed.asked
        wait_for(lambda: target.proxy.feed.asked > asked, "the next question")  # answered with the same
        for _ in range(3):
            assert bench.bring(target, "127.1.0.1", "127.1.0.9", **keys)
        assert process.health("web", "http")[url] == "DOWN"
    finally:
        servers.moods.clear()


def test_forgotten_health_costs_no_request(bench):
    """After each change a dead server counts as well until it is checked: every request to it is tried elsewhere."""
    target = bench.target(http=True)
    bench.bring(target, "127.1.0.1", "240.0.0.1", **CHECKED)
    bench.run()
    target.schedule.retry.hasten()
    statuses, done = [], threading.Event()

    def ask() -> None:
        client = Client(bench.port)
        while not done.is_set():
            statuses.append(client.ask().status)

    assert bench.bring(target, "127.1.0.1", "240.0.0.1", **CHECKED)
    thread = threading.Thread(target=ask)
    thread.start()
    for number in (2, 3, 2, 3):
        assert bench.bring(target, "127.1.0.1", f"127.1.0.{number}", "240.0.0.1", **CHECKED)
    done.set()
    thread.join()
    assert set(statuses) == {200}


def test_renewed_certificate(bench):
    """A certificate that is renewed under its name is read again at the next rendering."""
    pem = certificate(bench.output.parent / "certs/a.pem", "a.org")
    bench.more = {"web": {"bind": f"127.0.0.1:{bench.port}", "tls": True}}
    bench.certificates = pem.parent
    target = bench.target(directory=True)
    bench.bring(target, "127.1.0.1")
    bench.run()
    target.schedule.retry.hasten()

    def is_served() -> bool:
        return ssl.get_server_certificate(("127.0.0.1", bench.port)) in pem.read_text()

    assert bench.bring(target, "127.1.0.1")
    assert is_served()
    certificate(pem, "a.org")
    os.utime(pem, (1, 1))
    assert not is_served()
    assert bench.bring(target, "127.1.0.1")
    assert is_served()
