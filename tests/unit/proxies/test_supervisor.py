"""`lbgen.proxies.supervisor`: a proxy is started once, restarted with growing pauses, taken over, and ended gently."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lbgen.base.backoff import Backoff
from lbgen.base.unexpected import Part, UnexpectedErrors
from lbgen.proxies.supervisor import Supervisor
from tests.support.paths import ROOT
from tests.support.wait import PATIENCE, wait_for

# A "proxy": writes its pid to the file, says how it ends to another one, and ignores the signals it is told to.
PROXY = """
import os, signal, sys, time
pids, said, *ignored = sys.argv[1:]
ending = []
def end(number, _):
    if signal.Signals(number).name not in ignored and not ending:  # it may be told again while it ends
        ending.append(number)
        open(said, "a").write(signal.Signals(number).name + "\\n")
        os._exit(0)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, end)
open(pids, "a").write(f"{os.getpid()}\\n")
while True:
    time.sleep(60)
"""


@pytest.fixture
def pids(tmp_path) -> Callable[[], list[int]]:
    """The pids of the proxies that were started, in order."""
    file = tmp_path / "pids"
    return lambda: [int(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def supervised(tmp_path) -> Iterator[Callable[..., Supervisor]]:
    """Make supervisors; whatever they run is ended with the test."""
    made: list[Supervisor] = []

    def make(*ignored: str, words=None, find: Callable[[], int | None] = lambda: None, **more: Any) -> Supervisor:
        proxy = [sys.executable, "-c", PROXY, str(tmp_path / "pids"), str(tmp_path / "said"), *ignored]
        made.append(Supervisor(words or proxy, "proxy", find, signal.SIGUSR1, **more))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop(grace=0.1)


def quick() -> Backoff:
    """Pauses that a test can wait for."""
    return Backoff(0.01, 0.04)


def slow() -> Backoff:
    """Pauses that no test can wait for."""
    return Backoff(1000.0, 1000.0)


def test_start_and_stop(supervised, pids, tmp_path):
    """The proxy is started, and ended with the signal that lets it finish its connections."""
    supervisor = supervised()
    assert not supervisor.alive
    supervisor.start()
    wait_for(pids)
    wait_for(lambda: supervisor.alive)  # the proxy may be quicker than who started it
    supervisor.start()  # once more changes nothing
    supervisor.stop()
    assert not supervisor.alive
    assert (tmp_path / "said").read_text() == "SIGUSR1\n"
    assert len(pids()) == 1


DEAF = """#!/bin/sh
trap '' USR1
trap 'echo SIGTERM >> {said}; exit 1' TERM
echo $$ >> {pids}
while [ ! -e {hears} ]; do sleep 0.02; done
trap 'echo SIGUSR1 >> {said}; exit 0' USR1
while :; do sleep 0.02; done
"""


def test_stop_while_it_gets_ready(supervised, pids, tmp_path):
    """A proxy that loses the signal since it has no handler for it yet is told again: it ends as soon as it can."""
    words = {"said": tmp_path / "said", "pids": tmp_path / "pids", "hears": tmp_path / "hears"}
    (tmp_path / "deaf").write_text(DEAF.format(**words))
    (tmp_path / "deaf").chmod(0o755)
    supervisor = supervised(words=[str(tmp_path / "deaf")])
    supervisor.start()
    wait_for(pids)
    stopping = threading.Thread(target=supervisor.stop, args=[PATIENCE])
    stopping.start()
    time.sleep(0.1)  # the first signal is lost by now
    (tmp_path / "hears").touch()
    stopping.join(PATIENCE / 4)
    assert not stopping.is_alive()
    assert (tmp_path / "said").read_text() == "SIGUSR1\n"


def test_stop_before_it_starts(supervised, pids):
    """A stop that comes while another instance is looked for starts none, and waits for none."""
    looking, may_go_on = threading.Event(), threading.Event()

    def find() -> None:
        looking.set()
        assert may_go_on.wait(PATIENCE)

    supervisor = supervised(find=find)
    with capture_logs() as logs:
        supervisor.start()
        assert looking.wait(PATIENCE)
        supervisor.leave()  # the first half of a stop, which cannot be seen from here: from now on nothing is started
        stopping = threading.Thread(target=supervisor.stop, args=[PATIENCE])
        stopping.start()
        may_go_on.set()
        stopping.join(PATIENCE / 4)
    assert not stopping.is_alive()
    assert (pids(), logs) == ([], [])


@pytest.mark.parametrize("shows", [True, False])
def test_leave(supervised, pids, tmp_path, shows):
    """A proxy that is left runs on, and the next supervisor takes it over: also one that does not show yet."""
    supervisor = supervised()
    supervisor.start()
    (pid,) = wait_for(pids)
    supervisor.leave()
    successor = supervised(find=lambda: pid if shows else None)
    successor.start()
    wait_for(lambda: successor.pid)
    assert successor.pid == pid
    assert not (tmp_path / "said").exists()
    successor.stop()
    supervisor.stop()
    assert (tmp_path / "said").read_text() == "SIGUSR1\n"
    assert len(pids()) == 1


def test_left_between_two_starts(supervised, pids):
    """A supervisor that is left while no proxy runs starts none."""
    supervisor = supervised(words=["/does/not/exist"], backoff=slow())
    supervisor.start()
    wait_for(lambda: supervisor.starts)
    supervisor.leave()
    supervisor.stop()
    assert (supervisor.starts, pids()) == (1, [])


def test_looking_that_raises(supervised, pids):
    """What nobody expected does not end the supervision: the proxy is looked for again."""
    unexpected, mistakes = UnexpectedErrors(), [RuntimeError("a mistake"), ValueError("another")]

    def find() -> int | None:
        if mistakes:
            raise mistakes.pop()
        return None

    supervisor = supervised(find=find, backoff=quick(), unexpected=unexpected)
    with capture_logs() as logs:
        supervisor.start()
        wait_for(pids)
        wait_for(lambda: supervisor.alive)
    reasons = [entry["reason"] for entry in logs if entry["event"] == "proxy_ended"]
    assert reasons == ["unexpected error: another", "unexpected error: a mistake"]
    assert unexpected.counts()[Part.PROXY] == 2


@pytest.mark.parametrize(
    ("ignored", "insist", "said"), [(["SIGUSR1"], PATIENCE, "SIGTERM\n"), (["SIGUSR1", "SIGTERM"], 0.3, "")]
)
def test_stop_insists(supervised, pids, tmp_path, ignored, insist, said):
    """A proxy that does not end in time is ended with more force."""
    supervisor = supervised(*ignored, insist=insist)
    supervisor.start()
    (pid,) = wait_for(pids)
    supervisor.stop(grace=0.1)
    wait_for(lambda: not supervisor.alive)
    assert not Path(f"/proc/{pid}").exists()
    assert (tmp_path.joinpath("said").read_text() if said else "") == said


def test_stop_without_start(supervised):
    """Stopping what was never started does nothing."""
    supervised().stop()


def test_killed(supervised, pids):
    """A proxy that was killed is started again."""
    supervisor = supervised(backoff=quick())
    with capture_logs() as logs:
        supervisor.start()
        (first,) = wait_for(pids)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(pids()) == 2)
        wait_for(lambda: supervisor.alive)
    assert [entry["reason"] for entry in logs if entry["event"] == "proxy_ended"] == ["signal 9"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["/bin/false"], "exit status 1"),
        (["/does/not/exist"], "/does/not/exist cannot be started: No such file or directory"),
        (["/etc/passwd"], "/etc/passwd cannot be started: Permission denied"),
    ],
)
def test_back_off(supervised, words, reason):
    """A proxy that does not stay is started again and again, with pauses that double up to a limit."""
    supervisor = supervised(words=words, backoff=quick())

    def ends() -> list[dict[str, object]]:
        return [entry for entry in logs if entry["event"] == "proxy_ended"]

    with capture_logs() as logs:
        supervisor.start()
        wait_for(lambda: len(ends()) >= 5)
        supervisor.stop()
    pauses = [entry["restart_in_s"] for entry in ends()]
    assert pauses[:5] == [0.01, 0.02, 0.04, 0.04, 0.04]
    assert {entry["reason"] for entry in ends()} == {reason}


def test_steady(supervised, pids):
    """A proxy that stayed for a while is started again after the shortest pause."""
    supervisor = supervised(backoff=quick(), steady=0.0)
    with capture_logs() as logs:
        supervisor.start()
        for count in (1, 2, 3):
            wait_for(lambda count=count: len(pids()) == count)
            os.kill(pids()[-1], signal.SIGKILL)
        wait_for(lambda: len(pids()) == 4)
    assert [entry["restart_in_s"] for entry in logs if entry["event"] == "proxy_ended"] == [0.01] * 3


def test_start_now(supervised, pids, tmp_path):
    """A start cuts short the wait for the next attempt: new files may be what was missing."""
    file = tmp_path / "proxy"
    supervisor = supervised(words=[str(file), str(tmp_path / "pids"), str(tmp_path / "said")], backoff=slow())
    with capture_logs() as logs:
        supervisor.start()
        wait_for(lambda: [entry for entry in logs if entry["event"] == "proxy_ended"])
        file.write_text(f"#!{sys.executable}\n{PROXY}")
        file.chmod(0o755)
        supervisor.start()
        wait_for(pids)
        wait_for(lambda: supervisor.alive)


def test_stop_during_pause(supervised):
    """Nobody waits for a pause to end before a stop."""
    supervisor = supervised(words=["/bin/false"], backoff=slow())
    with capture_logs() as logs:
        supervisor.start()
        wait_for(lambda: [entry for entry in logs if entry["event"] == "proxy_ended"])
        supervisor.stop()
    assert not supervisor.alive


def test_taken_over(supervised, pids, tmp_path):
    """An instance that runs already is followed, not started twice; when it ends, the next one is our own."""
    words = [sys.executable, "-c", PROXY, str(tmp_path / "pids"), str(tmp_path / "said")]
    left_behind = subprocess.Popen(words)
    threading.Thread(target=left_behind.wait, daemon=True).start()  # as process 1 would: no zombie stays
    try:
        (pid,) = wait_for(pids)
        supervisor = supervised(find=lambda: pid if left_behind.poll() is None else None, backoff=quick())
        with capture_logs() as logs:
            supervisor.start()
            wait_for(lambda: supervisor.alive)
            assert pids() == [pid]
            left_behind.kill()
            wait_for(lambda: len(pids()) == 2)
            wait_for(lambda: len(logs) == 3)
        assert [entry["event"] for entry in logs] == ["proxy_taken_over", "proxy_ended", "proxy_started"]
        assert logs[0]["pid"] == pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            left_behind.kill()


def test_taken_over_and_stopped(supervised, pids, tmp_path):
    """An instance that was taken over is ended like one of our own."""
    words = [sys.executable, "-c", PROXY, str(tmp_path / "pids"), str(tmp_path / "said")]
    left_behind = subprocess.Popen(words)
    threading.Thread(target=left_behind.wait, daemon=True).start()
    (pid,) = wait_for(pids)
    supervisor = supervised(find=lambda: pid)
    supervisor.start()
    wait_for(lambda: supervisor.alive)
    supervisor.stop()
    assert (tmp_path / "said").read_text() == "SIGUSR1\n"


def test_restart(supervised, pids, tmp_path):
    """A proxy that has to be started anew is ended gently, and the next one is started without a pause."""
    supervisor = supervised(backoff=slow())
    supervisor.start()
    (first,) = wait_for(pids)
    supervisor.restart(PATIENCE)
    assert supervisor.pid != first
    wait_for(lambda: len(pids()) == 2)
    assert (tmp_path / "said").read_text() == "SIGUSR1\n"
    wait_for(lambda: supervisor.pid == pids()[1])


def test_restart_of_one_that_is_being_started(supervised, pids, monkeypatch):
    """It may have read its old files already, so it has to end as well, once it is known which process it is."""
    begun, known, popen = threading.Event(), threading.Event(), subprocess.Popen

    def slowly(*words, **options):
        process = popen(*words, **options)
        begun.set()
        assert known.wait(PATIENCE)
        return process

    monkeypatch.setattr(subprocess, "Popen", slowly)
    supervisor = supervised(backoff=slow())
    supervisor.start()
    assert begun.wait(PATIENCE)
    restarting = threading.Thread(target=supervisor.restart, args=(PATIENCE,))
    restarting.start()
    restarting.join(0.2)
    (first,) = wait_for(pids)
    known.set()
    restarting.join(PATIENCE)
    wait_for(lambda: len(pids()) == 2)
    assert supervisor.pid != first


def test_restart_of_one_that_does_not_run(supervised, pids):
    """Nothing has to end before the first start."""
    supervisor = supervised()
    supervisor.restart(0.0)
    wait_for(pids)


def test_graceful_is_sigterm(supervised, pids, tmp_path):
    """A proxy whose gentle signal is SIGTERM has all the time there is to finish after it."""
    supervisor = supervised()
    supervisor = Supervisor(supervisor.words, "proxy", lambda: None, signal.SIGTERM, insist=0.0)
    supervisor.start()
    wait_for(pids)
    supervisor.stop(grace=PATIENCE)
    assert (tmp_path / "said").read_text() == "SIGTERM\n"


REAPING = """
import os, subprocess, sys
from lbgen.proxies.supervisor import reap_orphans

def state(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
    except OSError:
        return ""

class Looks:
    count = 0
    def wait(self, _):
        self.count += 1
        if self.count == 2:  # our own child ends, and is seen dead before the one that waits for it gets to it
            own.stdin.close()
            while state(own.pid) != "Z":
                pass
        if self.count == 3:
            own.wait()
        return self.count > 9

assert os.getpid() == 1
own = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit(7)"], stdin=subprocess.PIPE)
subprocess.run(["sh", "-c", "true & true &"], check=True)  # orphans, which become ours
while [state(pid) for pid in range(2, 20)].count("Z") < 2:
    pass
reap_orphans(Looks())
print(own.returncode, [pid for pid in range(2, 20) if state(pid)])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a process namespace")
def test_reap_orphans():
    """As process 1, dead orphans are buried, and a child that somebody waits for is left to them."""
    root = ROOT
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", REAPING],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "7 []\n", done.stderr


def test_why_it_does_not_run(supervised, capfd):
    """What it says last before it ends is heard, and said where it would have been said; that it runs ends it."""
    words = [sys.executable, "-c", "import sys; sys.stderr.write('cannot bind\\n' * 30); sys.exit(3)"]
    supervisor = supervised(words=words, backoff=slow())
    assert supervisor.down == ""
    supervisor.start()
    wait_for(lambda: supervisor.down, "the reason")
    assert supervisor.down == "exit status 3: " + "\n".join(["cannot bind"] * 10)
    assert supervisor.ended_at > 0
    assert capfd.readouterr().err.count("cannot bind") == 60  # once as ever, once heard
    supervisor.words = [sys.executable, "-c", "import time; time.sleep(600)"]
    supervisor.start()
    assert supervisor.down == ""  # not known yet
    wait_for(lambda: supervisor.alive, "the start")
    assert supervisor.down == ""


def test_a_program_that_is_not_there_is_a_reason(supervised):
    """It cannot be heard, but the system says why."""
    supervisor = supervised(words=["/does/not/exist"], backoff=slow())
    supervisor.start()
    wait_for(lambda: supervisor.down == "/does/not/exist cannot be started: No such file or directory", "the reason")
    assert supervisor.starts == 1


def test_an_end_that_was_meant_is_no_reason(supervised, pids):
    """While it is started anew, as Traefik is for new entry points, it does not count as down."""
    supervisor = supervised()
    supervisor.start()
    wait_for(pids)
    supervisor.restart(PATIENCE)
    wait_for(lambda: len(pids()) == 2, "the second instance")
    assert supervisor.down == ""
