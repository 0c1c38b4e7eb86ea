"""`daemon.target`: one proxy is brought to a model step by step, and kept at the last good state when a step fails."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from lbgen.base.errors import ApplyFailed
from lbgen.daemon.reload_schedule import FIRST_RETRY, LONGEST_RETRY
from lbgen.daemon.template_rollback import PAUSE as STALE
from lbgen.model import build
from tests.support.bench import INTERVAL, Bench, FakeSupervisor, a_cluster, on_disk
from tests.support.builders import a_rules


@pytest.fixture
def bench(tmp_path) -> Bench:
    """A target that serves a_cluster(), with its interval between reloads over."""
    made = Bench(tmp_path)
    assert made.bring()
    made.clock.now += INTERVAL
    made.proxy.did.clear()
    return made


# ------------------------------------------------------------------------------------------------ what is done


def test_first(tmp_path):
    """The first model is checked, written, loaded and proven."""
    bench = Bench(tmp_path)
    assert bench.target.running is None
    assert bench.bring()
    assert bench.proxy.did == ["reload"]
    assert bench.checks == 1
    assert bench.target.running.texts == bench.texts()
    (line,) = bench.logs
    assert (line["event"], line["method"], line["detail"]) == ("applied", "reload", "first configuration")
    assert (line["servers_up"], line["servers_draining"], line["generation"]) == (2, 0, bench.proxy.serves)
    assert bench.clock.now == 1000.0


def test_nothing(bench):
    """What runs already is neither checked nor written nor loaded again."""
    checks, inode = bench.checks, (bench.output / "haproxy.cfg").stat().st_ino
    assert bench.bring()
    assert (bench.proxy.did, bench.checks, bench.logs) == ([], checks, [])
    assert (bench.output / "haproxy.cfg").stat().st_ino == inode


def test_live(bench):
    """A change of servers alone is made live; the files follow, so that a restart comes up the same."""
    assert bench.bring(3)
    assert bench.proxy.did == ["change +1 -0"]
    assert "server web.3" in bench.texts()["haproxy.cfg"]
    assert on_disk(bench.output) == bench.proxy.serves == bench.target.running.generation
    assert [entry["method"] for entry in bench.logs] == ["runtime-api"]


def test_reload(bench):
    """Any other change is a reload, whose reason is told."""
    assert bench.bring(2, "source")
    assert bench.proxy.did == ["reload"]
    assert [entry["detail"] for entry in bench.logs] == ["backend web: balance source"]
    assert "balance source" in bench.texts()["haproxy.cfg"]


def test_live_change_that_fails(bench):
    """If the running proxy cannot be changed after all, it is reloaded."""

    def failing() -> None:
        raise ApplyFailed("server web/web.3: is not there")

    bench.proxy.on_change = failing
    assert bench.bring(3)
    assert bench.proxy.did == ["change +1 -0", "reload"]
    assert [entry["detail"] for entry in bench.logs] == ["runtime API: server web/web.3: is not there"]


def test_live_changes_that_fail_are_spaced(bench):
    """A proxy that can never be changed live is still not reloaded more often than it may be."""

    def failing() -> None:
        raise ApplyFailed("this HAProxy cannot")

    bench.proxy.on_change = failing
    assert bench.bring(3)
    bench.clock.now += INTERVAL / 2
    assert not bench.bring(4)
    assert bench.proxy.did.count("reload") == 1
    assert bench.target.due() == bench.clock.now + INTERVAL / 2
    bench.clock.now += INTERVAL / 2
    assert bench.bring(4)
    assert bench.proxy.did.count("reload") == 2


# ------------------------------------------------------------------------------------------------ refusals


def test_refused(tmp_path):
    """What the checker refuses changes nothing, on disk or in the proxy; the message has file and line, once."""
    bench = Bench(tmp_path)
    bench.spoil()
    assert not bench.bring(2, "source", "more")
    assert (bench.texts(), bench.proxy.serves, bench.proxy.did) == ({}, "", [])
    (line,) = bench.logs
    assert (line["event"], line["log_level"], line["generation"]) == ("refused", "error", "")
    number = next(number for number, text in enumerate(_broken(bench), 1) if "broken" in text)
    assert f"haproxy.cfg:{number}:backend broken" in str(line["error"])
    assert ".lbgen-check" not in str(line["error"])
    assert not bench.bring(2, "source", "more")
    assert bench.logs == []
    assert bench.target.due() is None  # the same input gives the same answer


def _broken(bench: Bench) -> list[str]:
    facts = a_cluster(2, "source", "more")
    return bench.target.renderer.render(build(facts, a_rules()), facts).texts["haproxy.cfg"].splitlines()


def test_what_was_saved_is_refused(bench):
    """Templates that the checker refuses are told of once; those before go on following the cluster."""
    bench.spoil()
    assert not bench.bring(2, "source", "more")
    assert [entry["event"] for entry in bench.logs] == ["applied", "refused"]
    assert bench.target.failing
    text = bench.texts()["haproxy.cfg"]
    assert ("balance source" in text, "backend more" in text, "broken" in text) == (True, True, False)
    assert on_disk(bench.output) == bench.proxy.serves
    refusals = bench.target.counters.counts("checks")["refused"]
    bench.proxy.did.clear()
    assert not bench.bring(1, "source", "more")
    assert bench.proxy.did == ["change +0 -1"]
    assert [entry["event"] for entry in bench.logs] == ["applied"]
    assert bench.target.counters.counts("checks")["refused"] == refusals  # it is not asked about them again and again
    assert bench.target.due() <= bench.clock.now + STALE
    bench.clock.now += STALE
    assert not bench.bring(1, "source", "more")
    assert bench.target.counters.counts("checks")["refused"] == refusals + 1
    assert [entry["event"] for entry in bench.logs] == ["refused"]  # at another line than before
    bench.clock.now += STALE
    assert not bench.bring(1, "source", "more")
    assert bench.logs == []
    bench.mend()
    assert bench.bring(1, "source", "more")
    assert not bench.target.failing
    bench.clock.now += INTERVAL
    bench.spoil()
    assert not bench.bring(1, "source", "more")
    assert [entry["event"] for entry in bench.logs] == ["refused"]


def test_template_error(bench):
    """A template that fails is told of once; the one before goes on following the cluster."""
    (bench.templates / "names.map.j2").write_text("a\n{{ nope }}\n")
    assert not bench.bring(3)
    assert [entry["event"] for entry in bench.logs] == ["applied", "refused"]
    assert "names.map.j2:2: 'nope' is undefined" in str(bench.logs[1]["error"])
    assert bench.proxy.did == ["change +1 -0"]
    assert not bench.bring(3)
    assert bench.logs == []
    (bench.templates / "names.map.j2").write_text("# mended\n")
    bench.clock.now += INTERVAL
    assert bench.bring(2)
    assert bench.texts()["names.map"] == "# mended\n"


def test_checker_is_missing(bench):
    """Without the checker nothing is loaded; it is tried again, since it may be installed any moment."""
    text = bench.checker.read_text()
    bench.checker.unlink()
    before = bench.texts()
    assert not bench.bring(2, "source")
    assert (bench.texts(), bench.proxy.did) == (before, [])
    assert "not found" in str(bench.logs[0]["error"])
    assert bench.target.due() == bench.clock.now + FIRST_RETRY
    bench.checker.write_text(text)
    bench.checker.chmod(0o755)
    bench.clock.now += FIRST_RETRY
    assert bench.bring(2, "source")


def refusals(bench: Bench) -> int:
    """How often the checker refused something."""
    return bench.target.counters.counts("checks").get("refused", 0)


def refuse_everything(bench: Bench) -> None:
    """Have a checker that nothing is right for."""
    bench.checker.write_text("#!/bin/sh\nexit 1\n")


def test_another_checker_judges_anew(tmp_path):
    """What one checker refused is no verdict of the one that comes with other settings."""
    bench = Bench(tmp_path)
    bench.spoil()
    assert not bench.bring()
    bench.target.revise(bench.target.renderer, lambda _: None, INTERVAL)
    assert bench.bring()


def test_nobody_is_to_blame(tmp_path):
    """What is refused whichever service is left out is remembered: the checker is not asked about it once more."""
    bench = Bench(tmp_path)
    bench.spoil()
    assert not bench.bring(2, "source", "more")
    asked = refusals(bench)
    assert not bench.bring(2, "source", "more")
    assert refusals(bench) == asked


def test_refused_templates_change_nothing_live(bench):
    """Of templates that the checker refuses not even that is taken which would need no reload: those before make it."""
    bench.spoil()
    made_by = []
    bench.proxy.on_change = lambda: made_by.append(bench.target.rollback.due() is not None)
    assert not bench.bring(3)
    assert bench.proxy.did == ["change +1 -0"]
    assert made_by == [True]  # after the newest were refused, not before


def test_templates_of_before_are_refused_too(bench):
    """Where there are no others to go on with, what needs no reload is live all the same."""
    bench.spoil()
    refuse_everything(bench)
    assert not bench.bring(3, "round-robin", "more")
    assert bench.proxy.did == ["change +1 -0"]
    assert "broken" not in bench.target.running.texts["haproxy.cfg"]


def test_saving_is_refused(bench):
    """Files of a live change that the checker refuses are offered to it once, and not again at every save."""
    before = bench.texts()
    refuse_everything(bench)
    assert not bench.bring(3)
    asked = refusals(bench)
    assert (bench.proxy.did, bench.texts()) == (["change +1 -0"], before)
    bench.clock.now += INTERVAL
    assert bench.bring(3)
    assert refusals(bench) == asked


def test_bisection_cannot_ask(bench):
    """A checker that is gone before anybody is blamed is asked again: nothing stays refused for good."""
    bench.checker.write_text(f"#!/bin/sh\nmv {bench.checker} {bench.checker}.gone\nexit 1\n")
    assert not bench.bring(2, "source")
    assert [entry["event"] for entry in bench.logs] == ["apply_failed"]
    bench.checker.write_text("#!/bin/sh\n")
    bench.checker.chmod(0o755)
    bench.clock.now += INTERVAL
    assert bench.bring(2, "source")


# ------------------------------------------------------------------------------------------------ failures


def test_reload_fails(bench):
    """If the proxy will not take the new files, the old ones go back, and it is tried again later."""
    before, serves = bench.texts(), bench.proxy.serves

    def failing() -> None:
        assert bench.texts() != before
        raise ApplyFailed("Cannot bind socket")

    bench.proxy.on_reload = failing
    assert not bench.bring(2, "source")
    assert (bench.texts(), bench.proxy.serves, bench.proxy.did) == (before, serves, ["reload"])
    (line,) = bench.logs
    assert (line["event"], line["error"], line["retry_in_s"]) == ("apply_failed", "Cannot bind socket", FIRST_RETRY)
    bench.proxy.on_reload = lambda: None
    assert bench.target.due() == bench.clock.now + FIRST_RETRY
    bench.clock.now += INTERVAL
    assert bench.bring(2, "source")
    assert bench.target.due() is None


def test_retries_back_off(bench):
    """Each failure doubles the time until the next try, up to a limit; a success starts it anew."""

    def failing() -> None:
        raise ApplyFailed("no")

    pauses = []
    bench.proxy.on_reload = failing
    for _ in range(9):
        bench.bring(2, "source")
        pauses += [entry["retry_in_s"] for entry in bench.logs]
        bench.clock.now = max(bench.target.due() or 0.0, bench.clock.now + INTERVAL)
    assert pauses == [min(FIRST_RETRY * 2**number, LONGEST_RETRY) for number in range(9)]
    bench.proxy.on_reload = lambda: None
    assert bench.bring(2, "source")
    bench.clock.now += INTERVAL
    bench.proxy.on_reload = failing
    bench.bring(2, "random")
    assert bench.logs[0]["retry_in_s"] == FIRST_RETRY


def test_nothing_is_tried_before_its_time(bench):
    """Until the time of the next try has come, a model that needs a reload waits, even the newest."""

    def failing() -> None:
        raise ApplyFailed("no")

    bench.proxy.on_reload = failing
    bench.bring(2, "source")
    bench.clock.now += INTERVAL
    bench.bring(2, "source")
    bench.proxy.did.clear()
    assert not bench.bring(2, "random")
    assert bench.proxy.did == []


def test_proxy_comes_up_with_something_else(bench):
    """A proxy that took new files but does not serve them is brought back to what it ran before."""
    before, serves = bench.texts(), bench.proxy.serves
    loads = []

    def wrong() -> None:
        loads.append(on_disk(bench.output))

    bench.proxy.on_reload = wrong
    bench.proxy.generation = lambda: serves if loads[-1:] == [serves] or not loads else "0000deadbeef"
    assert not bench.bring(2, "source")
    assert bench.texts() == before
    assert loads[-1] == serves
    assert bench.proxy.did == ["reload", "reload"]
    assert bench.logs[0]["event"] == "apply_failed"
    assert bench.target.running.generation == serves


def test_verify_fails_but_nothing_changed(bench):
    """A proxy that goes on serving the previous generation needs no second reload."""
    before, serves = bench.texts(), bench.proxy.serves
    bench.proxy.reload = lambda *_: bench.proxy.did.append("reload")
    assert not bench.bring(2, "source")
    assert (bench.texts(), bench.proxy.serves, bench.proxy.did) == (before, serves, ["reload"])


def test_proxy_is_down(bench):
    """If the proxy does not run, the new files stay: they are what it reads when it starts."""
    bench.proxy.reachable = False
    assert not bench.bring(2, "source")
    assert "balance source" in bench.texts()["haproxy.cfg"]
    assert bench.logs[0]["error"] == "nobody there"
    bench.proxy.reachable, bench.proxy.serves = True, on_disk(bench.output)
    bench.proxy.did.clear()
    bench.clock.now += INTERVAL
    assert bench.bring(2, "source")
    assert bench.proxy.did == []


@pytest.mark.parametrize("cluster", [(2, "source"), (3,)])
def test_disk_is_full(bench, monkeypatch, cluster):
    """If the files cannot be written, a reload is not tried; a live change stays, and its files are written later."""
    before = bench.texts()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(os, "fsync", full)
    assert not bench.bring(*cluster) or cluster == (3,)
    assert bench.texts() == before
    assert "reload" not in bench.proxy.did
    assert "No space left on device" in str(bench.logs[-1]["error"])
    monkeypatch.undo()
    bench.clock.now += INTERVAL
    assert bench.bring(*cluster)
    assert on_disk(bench.output) == bench.proxy.serves
    assert bench.texts() != before


def test_first_configuration_fails(tmp_path):
    """Without any files of before there is nothing to put back; the proxy is tried again."""
    bench = Bench(tmp_path)

    def failing() -> None:
        raise ApplyFailed("no")

    bench.proxy.on_reload = failing
    assert not bench.bring()
    assert bench.target.due() == bench.clock.now + FIRST_RETRY


# ------------------------------------------------------------------------------------------------ restarts


def test_known_again(bench):
    """A new lbgen knows the generation on disk again and leaves the proxy alone."""
    bench.target = bench.new_target()
    assert bench.target.running.generation == bench.proxy.serves
    assert bench.bring()
    assert bench.proxy.did == []
    assert bench.bring(3)
    assert bench.proxy.did == ["change +1 -0"]


@pytest.mark.parametrize(
    "change", [lambda text: text + "# edited\n", lambda text: text.replace("10.0.0.1", "10.0.0.9")]
)
def test_edited_on_disk(bench, change):
    """Files that somebody edited are not what the proxy runs: it is reloaded with the right ones."""
    file = bench.output / "haproxy.cfg"
    file.write_text(change(file.read_text()))
    bench.target = bench.new_target()
    assert bench.target.running is None
    assert bench.bring()
    assert bench.proxy.did == ["reload"]
    assert on_disk(bench.output) == bench.proxy.serves


def test_started_elsewhere(bench):
    """A proxy that serves something else than what is on disk is reloaded."""
    bench.proxy.serves = "0123456789ab"
    bench.target = bench.new_target()
    assert bench.bring()
    assert bench.proxy.did == ["reload"]


def test_leftovers_of_a_killed_lbgen(bench):
    """What a killed lbgen left in the output directory is removed at the start."""
    (bench.output / ".lbgen-check-abc").mkdir()
    (bench.output / ".lbgen-check-abc/haproxy.cfg").touch()
    (bench.output / ".lbgen-new-abc").touch()
    before = {name: text for name, text in bench.texts().items() if not name.startswith(".lbgen")}
    bench.target = bench.new_target()
    assert bench.texts() == before


def test_file_that_is_rendered_no_more(bench):
    """A file whose template is gone is removed once the proxy runs without it."""
    (bench.templates / "extra.map.j2").write_text("# extra\n")
    assert bench.bring()
    assert "extra.map" in bench.texts()
    (bench.templates / "extra.map.j2").unlink()
    assert not bench.bring()  # it has to wait for its time
    assert "extra.map" in bench.texts()
    bench.clock.now += INTERVAL
    assert bench.bring()
    assert "extra.map" not in bench.texts()


# ------------------------------------------------------------------------------------------------ spacing


def test_reloads_are_spaced(bench):
    """A second reload waits for its time; then the newest model is loaded, and nothing in between."""
    assert bench.bring(2, "source")
    bench.clock.now += 1
    assert not bench.bring(2, "random")
    assert not bench.bring(2, "least-conn")
    assert bench.proxy.did == ["reload"]
    assert bench.target.due() == bench.clock.now - 1 + INTERVAL
    bench.clock.now += INTERVAL - 1
    assert bench.bring(2, "least-conn")
    assert bench.proxy.did == ["reload", "reload"]
    assert "balance leastconn" in bench.texts()["haproxy.cfg"]
    assert bench.target.due() is None


def test_live_changes_do_not_wait(bench):
    """Live changes are not spaced, and neither is the live part of what waits for a reload."""
    assert bench.bring(2, "source")
    assert bench.bring(3, "source")
    assert bench.bring(4, "source")
    assert not bench.bring(1, "source", "api")
    assert bench.proxy.did == [
        "reload",
        "change +1 -0",
        "change +1 -0",
        "change +0 -3",
    ]
    bench.clock.now += INTERVAL
    assert bench.bring(1, "source", "api")
    assert bench.proxy.did[4:] == ["reload"]
    assert on_disk(bench.output) == bench.proxy.serves


def test_files_follow_live_changes(bench):
    """However many live changes there were, the files on disk are the last of them after the interval."""
    assert bench.bring(3)
    assert bench.bring(4)
    assert bench.bring(5)
    bench.clock.now = max(bench.clock.now, bench.target.due() or 0.0)
    assert bench.bring(5)
    assert on_disk(bench.output) == bench.proxy.serves
    assert "server web.5" in bench.texts()["haproxy.cfg"]
    assert bench.target.due() is None


def test_tidy(bench):
    """Servers that still have connections are looked after until they have none."""
    bench.proxy.leftovers = 3
    assert bench.bring()
    assert bench.target.due() is not None
    bench.clock.now = bench.target.due()
    assert bench.bring()
    assert bench.target.due() is not None
    assert bench.bring()
    assert bench.target.due() is None


# ------------------------------------------------------------------------------------------------ supervised


def test_supervised(tmp_path):
    """A proxy that is ours to run is started when it has its first files, and again on the last ones."""
    supervisor = FakeSupervisor()
    bench = Bench(tmp_path, supervisor)
    bench.proxy.reachable = False

    def starts() -> None:
        bench.proxy.reachable, bench.proxy.serves = True, on_disk(bench.output)

    supervisor.on_start = starts
    assert supervisor.starts == 0
    assert bench.bring()
    assert (supervisor.starts, bench.proxy.did) == (1, [])
    assert bench.logs[0]["method"] == "start"
    bench.target.stop()
    assert supervisor.stopped

    again = FakeSupervisor()
    again.on_start = starts
    bench.proxy.reachable = False
    bench.target = bench.new_target(again)
    assert again.starts == 1
    assert bench.bring()
    assert (again.starts, bench.proxy.did) == (1, [])
    assert bench.clock.now == 1000.0


def test_supervised_and_slow_to_start(tmp_path):
    """A proxy that has just been started is asked what it runs until it answers, and not reloaded to the same."""
    supervisor = FakeSupervisor()
    bench = Bench(tmp_path, supervisor)
    supervisor.on_start = lambda: setattr(bench.proxy, "serves", on_disk(bench.output))
    assert bench.bring()
    again = FakeSupervisor()
    bench.proxy.reachable = False
    bench.target = bench.new_target(again)
    timer = threading.Timer(0.2, setattr, (bench.proxy, "reachable", True))
    timer.start()
    assert bench.bring()
    timer.join()
    assert (again.starts, bench.proxy.did) == (1, [])
    again.starts += 1
    again.alive = bench.proxy.reachable = False  # it has ended at once: nothing to wait for
    bench.target.deployment.refresh(())
    assert bench.target.running is None


def test_supervised_and_restarted(tmp_path):
    """A supervised proxy that was started again runs what is on disk, and is brought on from there."""
    supervisor = FakeSupervisor()
    bench = Bench(tmp_path, supervisor)
    supervisor.on_start = lambda: setattr(bench.proxy, "serves", on_disk(bench.output))
    assert bench.bring()
    bench.clock.now += INTERVAL
    assert bench.bring(3)
    supervisor.starts += 1
    bench.proxy.serves = "0123456789ab"
    assert bench.bring(3)
    assert bench.proxy.did[-1] == "reload"
    assert on_disk(bench.output) == bench.proxy.serves
