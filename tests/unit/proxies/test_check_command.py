"""`lbgen.proxies.check_command`: files are staged, shown to the proxy's own checker, and judged by its exit status."""

from __future__ import annotations

import errno
import sys
import tempfile

import pytest

from lbgen.base.errors import CheckFailed, CheckTimedOut, CheckUnavailable
from lbgen.proxies import check_command as check
from lbgen.render.renderer import Files

FILES = Files.of({"proxy.cfg": "line one\nline two\n", "sub/more.map": "Z\u00fcrich\n"})


def checker(script: str) -> list[str]:
    """A check command that runs this Python script on the staged directory."""
    return [
        "{binary}",
        "-c",
        f"import sys, os; from pathlib import Path; directory = Path(sys.argv[1]); {script}",
        "{dir}",
    ]


def run(script: str, beside=None, files: Files = FILES) -> None:
    """Check the files with this script."""
    check.check(files, checker(script), sys.executable, beside)


def test_accepted(tmp_path):
    """The checker sees every file, beside its target, under the name it will have; afterwards nothing is left."""
    script = (
        f"assert directory.parent == Path({str(tmp_path)!r}); "
        "assert (directory / 'proxy.cfg').read_text() == 'line one\\nline two\\n'; "
        "assert (directory / 'sub/more.map').read_text('utf-8') == 'Z\\u00fcrich\\n'; "
        "print('WARNING: but fine')"
    )
    run(script, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["sys.exit(1)", "pass"])
def test_targets_are_untouched(tmp_path, script):
    """Whatever the checker says, the files that are in place stay as they are."""
    (tmp_path / "proxy.cfg").write_text("old")
    try:
        run(script, tmp_path)
    except CheckFailed:
        assert script != "pass"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("print(f'{directory}/proxy.cfg:2: nonsense'); sys.exit(1)", "proxy.cfg:2: nonsense"),
        ("sys.exit(f'error in {directory}/sub/more.map')", "error in sub/more.map"),
        ("print('one'); sys.exit('two')", "one\ntwo"),
        ("sys.exit(2)", "exit status 2 without a message"),
        ("os.kill(os.getpid(), 9)", "exit status -9 without a message"),
        ("os.write(1, b'\\xff bad'); sys.exit(1)", "\ufffd bad"),
    ],
)
def test_refused(tmp_path, script, said):
    """A refusal carries the checker's own words, with the files named as they will be; nothing is left behind."""
    with pytest.raises(CheckFailed) as caught:
        run(script, tmp_path)
    assert caught.value.output == said
    assert str(caught.value) == f"{sys.executable} refused the rendered configuration:\n{said}"
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_no_checker():
    """Where there is nothing to ask, files pass."""
    check.check(FILES, [], "/does/not/exist")


def test_not_installed():
    """A checker that is not there is told from a refusal, with the setting that would help."""
    with pytest.raises(CheckUnavailable, match=r"/does/not/exist: not found.*targets\.NAME\.binary") as caught:
        check.check(FILES, ["{binary}", "{dir}"], "/does/not/exist")
    assert caught.value.exit_code == 3


def test_not_executable(tmp_path):
    """A checker that may not be run is told from a refusal as well."""
    (tmp_path / "proxy").write_text("text")
    with pytest.raises(CheckUnavailable, match="cannot check the files"):
        check.check(FILES, ["{binary}"], str(tmp_path / "proxy"))


def test_hangs(monkeypatch):
    """A checker that does not end is given up: as good as a refusal."""
    monkeypatch.setattr(check, "TIMEOUT", 0.2)
    with pytest.raises(CheckTimedOut, match="no verdict after 0 s"):
        run("import time; time.sleep(60)")


def test_hangs_in_a_search():
    """Where many checks are made each has less time, and afterwards as much as ever."""
    with check.within(0.2), pytest.raises(CheckTimedOut, match="no verdict after 0 s") as caught:
        run("import time; time.sleep(60)")
    assert isinstance(caught.value, CheckFailed)
    assert check.timeout() == check.TIMEOUT


def test_without_target_directory(tmp_path):
    """Where the target directory is not there yet, the files are staged elsewhere."""
    run(f"assert directory.parent != Path({str(tmp_path / 'new')!r})", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_cannot_be_staged(tmp_path, monkeypatch):
    """A full or read-only target directory is found before the checker is asked, and before anything is replaced."""

    def failing(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", failing)
    with pytest.raises(CheckUnavailable, match=f"{tmp_path}: cannot stage the files there: No space left"):
        run("pass", tmp_path)


def test_cannot_be_written(tmp_path):
    """So is one in which only some of the files fit."""
    with pytest.raises(CheckUnavailable, match="cannot stage the files"):
        run("pass", tmp_path, Files.of({"a": "", "a/b": ""}))
    assert list(tmp_path.iterdir()) == []


def test_clear_stages(tmp_path):
    """What a killed lbgen left is removed, and nothing else."""
    (tmp_path / ".lbgen-check-abc/sub").mkdir(parents=True)
    (tmp_path / ".lbgen-check-abc/sub/a").touch()
    (tmp_path / "proxy.cfg").touch()
    check.clear_stages(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["proxy.cfg"]
