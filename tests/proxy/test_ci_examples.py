"""The examples for pipelines: their own commands, run in a checkout as GitHub, GitLab and pre-commit run them.

Not run: the actions that a workflow uses (checkout, Python), images, and what installs things (apt-get, pip), for which
there are stand-ins that do nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.real_haproxy import BINARY

STACK = """\
version: "3.8"
services:
  shop:
    image: shop:1
    ports: ["8081:80"]
    deploy:
      labels:
        lbgen.enable: "true"
        lbgen.host: shop.example.org
  api:
    image: api:1
    ports: ["8082:80"]
    deploy:
      labels:
        lbgen.enable: "true"
        lbgen.host: shop.example.org
        lbgen.path: /api
"""
EXAMPLES = ROOT / "examples/ci"
pytestmark = pytest.mark.proxy(BINARY, "git")


class Checkout:
    """A repository with a stack file, on a branch that goes to main."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._tools = directory / "checkout", directory / "tools"
        self.directory.mkdir()
        self._tools.mkdir()
        for name, text in {
            "lbgen": f'exec {sys.executable} -m lbgen "$@"',
            "sudo": 'exec "$@"',
            "apt-get": 'echo "apt-get $*"',
            "pip": 'echo "pip $*"',
        }.items():
            (self._tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (self._tools / name).chmod(0o755)
        self.stack = STACK
        self.write(self.stack)
        self.git("init", "-q", "-b", "main")
        self.commit()
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")

    def write(self, stack: str) -> None:
        """Write the stack file."""
        (self.directory / "stack.yml").write_text(stack)

    def git(self, *words: str) -> str:
        """Run git; return its output."""
        account = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        return subprocess.run(
            ["git", *account, *words], cwd=self.directory, check=True, capture_output=True, text=True
        ).stdout

    def commit(self) -> None:
        """Commit all there is."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a step of a pipeline does: it ends with the first command that fails."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN")}
        path = f"{self._tools}:{inherited.pop('PATH')}"
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.directory,
            env={**inherited, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """One for each test."""
    return Checkout(tmp_path)


def mistaken(stack: str) -> tuple[str, int]:
    """The stack with a misspelled label; the number of its line."""
    text = stack.replace("lbgen.path: /api", "lbgen.pth: /api")
    return text, next(number for number, line in enumerate(text.splitlines(), 1) if "lbgen.pth" in line)


def changed(stack: str) -> str:
    """The stack with another path."""
    return stack.replace("lbgen.path: /api", "lbgen.path: /v2")


# ------------------------------------------------------------------------------------------------ GitHub


def workflow(checkout: Checkout) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run the steps of the workflow until one fails; return the outcome of each."""
    document: dict[Any, Any] = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    (job,) = document["jobs"].values()
    environment = {
        **document["env"],
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(checkout.directory / "summary"),
    }
    results = {}
    for step in job["steps"]:
        if "run" in step:
            results[step["name"]] = checkout.run(step["run"], **environment)
            if results[step["name"]].returncode:
                break
    return results


def test_github(checkout):
    """A pull request that changes the stack passes, and its summary has the difference."""
    checkout.write(changed(checkout.stack))
    results = workflow(checkout)
    assert {name: result.returncode for name, result in results.items()} == dict.fromkeys(results, 0)
    assert list(results) == [
        "Install lbgen, and the proxy that checks",
        "Labels",
        "Does the proxy accept it",
        "What changes",
    ]
    installed = results["Install lbgen, and the proxy that checks"].stdout
    assert "pip install git+https://" in installed
    summary = (checkout.directory / "summary").read_text()
    assert summary.startswith("```diff\n--- base/")
    assert "\n-web/shop.example.org/api/ shop_api\n" in summary
    assert "\n+web/shop.example.org/v2/ shop_api\n" in summary


def test_github_with_mistake(checkout):
    """A misspelled label fails the job, with an annotation at its line."""
    text, line = mistaken(checkout.stack)
    checkout.write(text)
    failed = workflow(checkout)["Labels"]
    assert failed.returncode == 5
    assert f"::error file=stack.yml,line={line},title=service shop_api%3A lbgen.pth::" in failed.stdout


# ------------------------------------------------------------------------------------------------ GitLab


def job(checkout: Checkout, name: str) -> subprocess.CompletedProcess[str]:
    """Run a job as GitLab does: the script of what it extends before its own."""
    document = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
    found = {**document[document[name]["extends"]], **document[name]}
    return checkout.run("\n".join([*found["before_script"], *found["script"]]), **document["variables"])


def test_gitlab(checkout):
    """Both jobs pass while the directory in the repository is what the stack file says."""
    assert checkout.run("lbgen render --once --from stack.yml --stack shop --proxy haproxy -o balancer").returncode == 0
    assert job(checkout, "labels").returncode == 0
    assert json.loads((checkout.directory / "gl-code-quality-report.json").read_text()) == []
    assert job(checkout, "configuration").returncode == 0
    checkout.write(changed(checkout.stack))
    assert job(checkout, "labels").returncode == 0
    differing = job(checkout, "configuration")
    assert differing.returncode == 6
    assert "\n+web/shop.example.org/v2/ shop_api\n" in differing.stdout


def test_gitlab_with_mistake(checkout):
    """A misspelled label is in the code quality report, at its line."""
    text, line = mistaken(checkout.stack)
    checkout.write(text)
    assert job(checkout, "labels").returncode == 5
    (entry,) = json.loads((checkout.directory / "gl-code-quality-report.json").read_text())
    assert entry["location"] == {"path": "stack.yml", "lines": {"begin": line}}


# ------------------------------------------------------------------------------------------------ pre-commit


def hooks(checkout: Checkout, *only: str) -> dict[str, int]:
    """Run the hooks, all or some, on everything; return what each ends with.

    As pre-commit counts, a hook that has changed files has failed.
    """
    known = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    (repository,) = yaml.safe_load((EXAMPLES / "pre-commit-config.yaml").read_text())["repos"]
    results = {}
    for hook in repository["hooks"]:
        if only and hook["id"] not in only:
            continue
        assert not known[hook["id"]]["pass_filenames"]
        checkout.git("add", "-A")
        done = checkout.run(" ".join([known[hook["id"]]["entry"], *hook["args"]]))
        checkout.git("add", "-AN")
        results[hook["id"]] = done.returncode or int(bool(checkout.git("diff", "--name-only")))
    return results


def test_pre_commit(checkout):
    """The rendered directory is brought up to date once, then there is nothing to do; a mistake stops the commit."""
    assert hooks(checkout) == {"lbgen-lint": 0, "lbgen-render": 1}
    assert hooks(checkout) == {"lbgen-lint": 0, "lbgen-render": 0}
    checkout.write(mistaken(checkout.stack)[0])
    assert hooks(checkout, "lbgen-lint") == {"lbgen-lint": 5}
