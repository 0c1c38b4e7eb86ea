"""Targets that are none of the known proxies: files, and a command or a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.base.errors import SettingsError
from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import build
from lbgen.settings import ApplySettings, Settings, TargetSettings
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.wait import wait_for


class Bench:
    """A template set of two files, and a target with it."""

    def __init__(self, directory: Path) -> None:
        self.output, self.templates, self.ran = directory / "out", directory / "set", directory / "ran"
        self.templates.mkdir()
        self.ran.touch()
        (self.templates / "set.yml").write_text("proxy: other\n")
        (self.templates / "a.txt.j2").write_text("{% for server in servers %}{{ server.address }}\n{% endfor %}")
        (self.templates / "b.txt.j2").write_text("{{ generation }}\n")
        self.settings = Settings(min_reload_interval="0s")

    def target(self, **apply: object) -> Target:
        """Make it and start it, as lbgen does when it starts."""
        made = assembly.Assembly(
            "edge",
            TargetSettings(templates=[str(self.templates)], output=self.output, apply=ApplySettings(**apply)),
            self.settings,
        ).target()
        made.start()
        return made

    def command(self, status: int = 0) -> list[str]:
        """A command that writes down that it ran."""
        return ["sh", "-c", f"cat {self.output}/a.txt >>{self.ran}; echo words >&2; exit {status}"]

    def bring(self, target: Target, address: str) -> bool:
        """Bring the target to a cluster with one server; what is logged is in `logs`."""
        service, task = a_service(keys={"port": 80}, networks=("edge-id",)), a_task(addresses={"edge-id": address})
        facts = a_snapshot(a_node(), a_network(), service, task)
        with capture_logs() as self.logs:
            return target.bring_to(build(facts, self.settings.rules()), facts)


@pytest.fixture
def bench(tmp_path) -> Bench:
    """One for each test."""
    return Bench(tmp_path)


def test_command(bench):
    """The command runs after the files are there, once for each change, and not for what it has taken already."""
    target = bench.target(command=bench.command())
    for address in ("127.1.0.1", "127.1.0.1", "127.1.0.2"):
        assert bench.bring(target, address)
    assert bench.ran.read_text() == "127.1.0.1\n127.1.0.2\n"
    again = bench.target(command=bench.command())
    assert bench.bring(again, "127.1.0.2")
    assert bench.bring(again, "127.1.0.3")
    assert bench.ran.read_text() == "127.1.0.1\n127.1.0.2\n127.1.0.3\n"
    assert [(entry["event"], entry["method"]) for entry in bench.logs] == [("applied", "reload")]


def test_command_fails(bench):
    """The files go back, the command's words are logged, and it is tried again; so it is by a restarted lbgen."""
    assert bench.bring(bench.target(command=bench.command()), "127.1.0.1")
    target = bench.target(command=bench.command(7))
    assert not bench.bring(target, "127.1.0.2")
    assert (bench.output / "a.txt").read_text() == "127.1.0.1\n"
    assert "exit status 7: words" in str(bench.logs[0]["error"])
    assert target.due() is not None
    (bench.output / "a.txt").write_text("127.1.0.9\n")  # somebody else's change
    assert bench.bring(bench.target(command=bench.command()), "127.1.0.1")
    assert bench.ran.read_text().splitlines()[-1] == "127.1.0.1"


def test_first_command_fails(bench):
    """Where there was nothing before, the files stay: the program can be started with them."""
    assert not bench.bring(bench.target(command=bench.command(1)), "127.1.0.1")
    assert (bench.output / "a.txt").read_text() == "127.1.0.1\n"
    assert bench.bring(bench.target(command=bench.command()), "127.1.0.1")


def test_nothing(bench):
    """Who watches its files needs no telling; two changes need no time in between."""
    bench.settings = Settings(min_reload_interval="1h")
    target = bench.target()
    for address in ("127.1.0.1", "127.1.0.2"):
        assert bench.bring(target, address)
        assert (bench.output / "a.txt").read_text() == f"{address}\n"
    assert [(entry["event"], entry["method"]) for entry in bench.logs] == [("applied", "publish")]


def test_pid_file(bench):
    """SIGHUP goes to the process; where there is none the files stay, for when it is started."""
    code = f"import signal; signal.signal(signal.SIGHUP, lambda *_: open({str(bench.ran)!r}, 'a').write('hup'))"
    code += "; print(flush=True)\nwhile True: signal.pause()"
    target = bench.target(pid_file=bench.output / "pid")
    assert not bench.bring(target, "127.1.0.1")
    assert (bench.output / "a.txt").exists()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (bench.output / "pid").write_text(str(process.pid))
        target = bench.target(pid_file=bench.output / "pid")
        assert bench.bring(target, "127.1.0.2")
        wait_for(lambda: bench.ran.read_text() == "hup", "the signal")
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("apply", [{"run": True}, {"master_socket": "/x"}, {"process": True}, {"http": True}])
def test_other_ways(bench, apply):
    """What makes sense for a known proxy only is refused, with what there is instead."""
    with pytest.raises(SettingsError, match=f"takes command, pid_file .* not {next(iter(apply))}"):
        bench.target(**apply)
