"""``python -m bench.authoring``: how long an author waits for the verdict after saving a template, and for a start.

Side by side in each round: `lbgen render --check` that stays, and one that is started for each try. Then what the start
of a command takes of the processor, beside that of other programs. No root, no Swarm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lbgen.source import decode
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task

LBGEN = [sys.executable, "-m", "lbgen"]
MAIN = {"haproxy": "haproxy.cfg.j2", "nginx": "nginx.conf.j2"}
DEADLINE = 60.0  # seconds until a verdict that does not come ends the run


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.authoring", description=__doc__)
    parser.add_argument("--services", type=int, default=200, help="each with three tasks, a host and a path")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    print(f"{options.services} services with 3 tasks each, {options.rounds} rounds; seconds, median (least..most)\n")
    print("| proxy | saved: verdict | saved with a mistake: refusal | `render --once --check` | x |")
    print("| --- | --- | --- | --- | --- |")
    for proxy in filter(shutil.which, MAIN):
        with tempfile.TemporaryDirectory(prefix="lbgen-bench-") as directory:
            print(row(proxy, Path(directory), options.services, options.rounds), flush=True)
    print(f"\nStart-up: processor time, user and system, median of {options.rounds} (least..most)\n")
    print("| command | seconds |\n| --- | --- |")
    with tempfile.TemporaryDirectory(prefix="lbgen-bench-") as directory:
        # With Python's compiled modules at hand, as where lbgen is installed.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = f"{directory}/pycache"
        for name, words in start_ups(Path(directory)).items():
            _, *seconds = [processor_time(words, environment) for _ in range(options.rounds + 1)]
            print(f"| {name} | {shown(seconds)} |", flush=True)


def row(proxy: str, directory: Path, services: int, rounds: int) -> str:
    """Measure one proxy; return its line of the table."""
    (directory / "snapshot.json").write_text(json.dumps(cluster(services)))
    templates = directory / "templates"
    templates.mkdir()
    words = ["--from", str(directory / "snapshot.json"), "--proxy", proxy, "--templates", str(templates), "--check"]
    found: dict[str, list[float]] = {"saved": [], "refused": [], "once": []}
    with staying([*LBGEN, "render", *words], directory / "log") as verdict:
        for number in range(rounds):
            found["saved"].append(
                took(lambda number=number: save(templates, proxy, f"# {number}"), verdict, "accepts it")
            )
            found["once"].append(started([*LBGEN, "render", "--once", *words]))
            found["refused"].append(took(lambda: save(templates, proxy, "nonsense;"), verdict, "refused"))
    ratio = statistics.median(found["once"]) / statistics.median(found["saved"])
    return f"| {proxy} | {shown(found['saved'])} | {shown(found['refused'])} | {shown(found['once'])} | {ratio:.1f} |"


def cluster(services: int) -> dict[str, object]:
    """Return a snapshot document of so many services."""
    facts = [a_node(), a_network()]
    for number in range(services):
        name = f"app{number}"
        keys = {"port": 8080, "host": f"{name}.example.org", "path": "/", "health-check.path": "/health"}
        facts.append(a_service(name, keys, networks=("edge-id",)))
        for slot in (1, 2, 3):
            facts.append(a_task(name, slot, addresses={"edge-id": f"10.{number // 250}.{number % 250}.{slot}"}))
    return decode.document(a_snapshot(*facts))


def save(templates: Path, proxy: str, text: str) -> None:
    """Save a template with this at the end of the built-in one, as editors do: beside it, then renamed."""
    main = MAIN[proxy]
    (templates / "new").write_text(f"{{% extends '{proxy}/{main}' %}}{{% block extra %}}\n{text}\n{{% endblock %}}")
    (templates / "new").replace(templates / main)


@contextlib.contextmanager
def staying(words: list[str], log: Path) -> Iterator[Callable[[str], None]]:
    """Run a `render` that stays; give what waits for a verdict with a text in it that nobody has waited for yet."""
    seen = 0
    with log.open("w") as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)

    def verdict(text: str) -> None:
        nonlocal seen
        deadline = time.monotonic() + DEADLINE
        while text not in log.read_text()[seen:]:
            if time.monotonic() > deadline or process.poll() is not None:
                sys.exit(f"bench: no verdict; {log.read_text()}")
            time.sleep(0.002)
        seen = len(log.read_text())

    try:
        verdict("accepts it")
        yield verdict
    finally:
        process.terminate()
        process.wait()


def start_ups(directory: Path) -> dict[str, list[str]]:
    """Return the commands whose start is measured, those of programs that are not installed left out."""
    (directory / "snapshot.json").write_text(json.dumps(cluster(3)))
    (directory / "haproxy.cfg").write_text("frontend web\n  mode http\n  bind 127.0.0.1:8080\n  timeout client 1s\n")
    (directory / "prometheus.yml").write_text("global: {scrape_interval: 15s}\n")
    once = ["render", "--once", "--from", str(directory / "snapshot.json"), "--proxy", "haproxy"]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "lbgen version": [*LBGEN, "version"],
        "lbgen render --once, 3 services": [*LBGEN, *once],
        "haproxy -c": ["haproxy", "-c", "-f", str(directory / "haproxy.cfg")],
        "promtool check config": ["promtool", "check", "config", str(directory / "prometheus.yml")],
    }
    return {name: words for name, words in commands.items() if shutil.which(words[0])}


def processor_time(words: list[str], environment: dict[str, str]) -> float:
    """Return the seconds of the processor, user and system, that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def took(change: Callable[[], None], verdict: Callable[[str], None], text: str) -> float:
    """Return the seconds from a change to the verdict on it."""
    time.sleep(0.2)  # what the one before has left to print
    began = time.monotonic()
    change()
    verdict(text)
    return time.monotonic() - began


def started(words: list[str]) -> float:
    """Return the seconds that a command takes."""
    began = time.monotonic()
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def shown(seconds: list[float]) -> str:
    """Return ``0.21 (0.19..0.30)``."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}..{max(seconds):.2f})"


if __name__ == "__main__":
    main()
