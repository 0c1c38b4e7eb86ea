"""Everything in docs/templates.md is tried: its files are written, its commands run, and print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support import real_haproxy, real_traefik
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "templates.md"
FENCE = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"\s+# exit code (\d+)$")


def commands(text: str) -> list[tuple[str, int, list[str]]]:
    """The commands of a block with their exit codes and the lines that are shown of their output."""
    found: list[tuple[str, int, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            code = EXIT.search(line)
            found.append((EXIT.sub("", line[2:]), int(code[1]) if code else 0, []))
        else:
            found[-1][2].append(line)
    return found


@pytest.mark.proxy(real_haproxy.BINARY, "nginx", real_traefik.BINARY)
def test_document(tmp_path):
    """From nothing, in the order of the page. What is shown of an output is in it, in this order."""
    program = tmp_path / "bin" / "lbgen"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lbgen "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(DOCUMENT.parent.parent)}
    ran = 0
    for name, language, text in FENCE.findall(DOCUMENT.read_text()):
        if name:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
            continue
        assert language == "console", f"neither a file nor a command: {text}"
        for command, code, shown in commands(text):
            done = subprocess.run(
                ["bash", "-c", command], cwd=work, env=environ, capture_output=True, text=True, check=False, timeout=60
            )
            ran += 1
            assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
            lines = iter(done.stdout.splitlines())
            for line in shown:
                assert line in lines, f"{command} does not print, after what is before it: {line}\n{done.stdout}"
    assert ran > 15
