"""The template sets of examples/templates: golden files, the real checkers, and a real Caddy that is reloaded.

``UPDATE_GOLDEN=1 pytest tests/proxy/test_example_sets.py`` writes the golden files anew: read the diff.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbgen.base.errors import CheckFailed
from lbgen.daemon import assembly
from lbgen.model import build
from lbgen.render.renderer import Files
from lbgen.settings import Settings, TargetSettings
from lbgen.snapshot import Snapshot
from lbgen.source import decode
from lbgen.source.file import load
from tests.support.builders import Fact, a_network, a_node, a_service, a_snapshot, a_task
from tests.support.golden_cases import GOLDEN
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import PATIENCE, wait_for

SETS = ROOT / "examples/templates"
NAMES = sorted(path.parent.name for path in SETS.glob("*/set.yml"))
CASES = {"example": ROOT / "examples/snapshot.yml", **{name: GOLDEN / f"{name}.yaml" for name in ("rules", "drains")}}
OPTIONS = {
    "aws-targets": {"service": "web", "target_group_arn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/x/1"}
}
CHECKED = [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("caddy", "promtool")]
OF = {"promtool": "prometheus", "caddy": "caddy"}


def target(name: str, output: Path = Path("/out"), **settings: Any) -> tuple[TargetSettings, Settings]:
    """A target with an example set."""
    made = TargetSettings(templates=[str(SETS / name)], output=output, options=OPTIONS.get(name, {}))
    return made, Settings(certificates="/certs", **settings)


def rendered(name: str, snapshot: Snapshot, **settings: Any) -> Files:
    """The files of an example set."""
    made, settings_ = target(name, **settings)
    return assembly.Assembly("edge", made, settings_).renderer().render(build(snapshot, settings_.rules()), snapshot)


def check(name: str, files: Files) -> None:
    """Have the set's own checker look at them."""
    assembly.Assembly("edge", *target(name)).preview_checker()(files)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_golden(name, case):
    """Each set renders each case to exactly what is in its golden file."""
    golden = ROOT / f"tests/golden/examples/{name}/{case}.txt"
    texts = rendered(name, load(CASES[case])).texts
    shown = "".join(f"# ======== {file} ========\n{text}" for file, text in texts.items())
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown)
    assert shown == golden.read_text()


@pytest.mark.parametrize("binary", CHECKED)
def test_checked(binary):
    """The real checker accepts every kind of backend and route; what is nonsense it refuses."""
    name = OF[binary]
    for case in ("backends", "drains", "ipv6", "listeners", "rules", "scaled-to-zero"):
        check(name, rendered(name, load(GOLDEN / f"{case}.yaml")))
    files = rendered(name, load(CASES["example"]))
    broken = replace(
        files, texts={**files.texts, {"caddy": "Caddyfile", "prometheus": "targets/lbgen.json"}[name]: "{]"}
    )
    with pytest.raises(CheckFailed):
        check(name, broken)


HOSTILE = ["{$HOME}", '"', "a\\", "`", "{", "}", "#x", "${x}", "x y", "*", "{http.request.uri}", "é\u2028", "'"]


@pytest.mark.parametrize("binary", CHECKED)
def test_hostile_values(binary):
    """Whatever stands in labels, the files stay what the templates wrote."""
    services: list[Fact] = [a_node(), a_network()]
    for number, value in enumerate(HOSTILE):
        keys = {"port": 80, "host": f"h{number}.test", "header.x-a": value, "health-check.path": f"/{value}"}
        if number % 2:  # a value that cannot be a path takes its route with it
            del keys["health-check.path"]
        service = a_service(f"s{number}", keys, networks=("edge-id",))
        labels = {**service.labels, "metrics.path": value}
        services += [replace(service, labels=labels), a_task(f"s{number}", addresses={"edge-id": "127.1.0.1"})]
        services.append(a_service(f"p{number}", {**keys, "path": f"/{value}"}, networks=("edge-id",)))
        services.append(a_service(f"h{number}", {"header.x-a": value, "port": 80}, networks=("edge-id",)))
    files = rendered(OF[binary], a_snapshot(*services))
    check(OF[binary], files)
    assert os.environ["HOME"] not in str(files.texts)
    if binary == "caddy":
        adapted = subprocess.run(
            ["caddy", "adapt", "--adapter", "caddyfile", "--config", "/dev/stdin"],
            input=files.texts["Caddyfile"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "HOME": "/escaped"},
        )
        assert "/escaped" not in adapted.stdout
        kept = {value[0] for found in re.findall(r'"X-A":(\[.*?\])', adapted.stdout) for value in [json.loads(found)]}
        assert kept <= set(HOSTILE)
        assert {'"', "`", "x y", "#x"} <= kept


@pytest.mark.parametrize("file", ["cds.json", "eds.json"])
def test_envoy(file):
    """Envoy's own definitions know every field: a name or a type that they do not know is an error."""
    discovery = pytest.importorskip("envoy.service.discovery.v3.discovery_pb2", reason="pip install xds-protos")
    for module in (
        "envoy.config.cluster.v3.cluster_pb2",
        "envoy.config.endpoint.v3.endpoint_pb2",
        "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2",
        "envoy.extensions.transport_sockets.tls.v3.tls_pb2",
    ):
        pytest.importorskip(module)
    from google.protobuf import json_format

    for case in sorted(GOLDEN.glob("*.yaml")):
        json_format.Parse(rendered("envoy", load(case)).texts[file], discovery.DiscoveryResponse())


# ------------------------------------------------------------------------------------------------ a cloud's list

AWS = """#!{python}
import json, sys
words = sys.argv[1:]
request = json.loads(words[words.index("--cli-input-json") + 1])
open("{log}", "a").write(json.dumps([words[1], request]) + "\\n")
if words[1] == "describe-target-health":
    print(json.dumps({{"TargetHealthDescriptions": {known}}}))
sys.exit({status})
"""


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """A stand-in for the AWS CLI: ``aws(known)`` sets what is registered; what it was asked is in `log`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(known: list[tuple[str, int, str]], status: int = 0) -> Path:
        listed = [{"Target": {"Id": id_, "Port": port}, "TargetHealth": {"State": state}} for id_, port, state in known]
        text = AWS.format(python=sys.executable, log=tmp_path / "log", known=json.dumps(listed), status=status)
        (tmp_path / "aws").write_text(text)
        (tmp_path / "aws").chmod(0o755)
        (tmp_path / "log").write_text("")
        return tmp_path / "log"

    return write


def synced(directory: Path, *addresses: str) -> int:
    """Run sync.py on a rendered list with these targets; return its exit status."""
    tasks = [a_task("web", slot, addresses={"edge-id": address}) for slot, address in enumerate(addresses, 1)]
    service = a_service("web", {"port": 80}, networks=("edge-id",))
    files = rendered("aws-targets", a_snapshot(a_node(), a_network(), service, *tasks))
    (directory / "list.json").write_text(files.texts["register-targets.json"])
    words = [sys.executable, str(SETS / "aws-targets/sync.py"), str(directory / "list.json")]
    return subprocess.run(words, check=False).returncode


def test_aws(aws, tmp_path):
    """What is new is registered, what is gone is deregistered, and nothing else is asked of AWS."""
    known = [("10.0.0.1", 80, "healthy"), ("10.0.0.2", 80, "unhealthy"), ("10.0.0.3", 80, "draining")]
    log = aws(known)
    assert synced(tmp_path, "10.0.0.1", "10.0.0.3", "10.0.0.4") == 0
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    group = OPTIONS["aws-targets"]["target_group_arn"]
    assert asked[1:] == [
        [
            "register-targets",
            {"TargetGroupArn": group, "Targets": [{"Id": "10.0.0.3", "Port": 80}, {"Id": "10.0.0.4", "Port": 80}]},
        ],
        ["deregister-targets", {"TargetGroupArn": group, "Targets": [{"Id": "10.0.0.2", "Port": 80}]}],
    ]
    log = aws(known[:1])
    assert synced(tmp_path, "10.0.0.1") == 0
    assert len(log.read_text().splitlines()) == 1
    aws([], status=255)
    assert synced(tmp_path, "10.0.0.1") == 255


# ------------------------------------------------------------------------------------------------ Caddy, running


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """HTTP servers on every loopback address."""
    with http_servers() as running:
        yield running


def answer(port: int, host: str, path: str = "/") -> str:
    """Status and server of a request to Caddy; the error if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Host": host})
        reply = connection.getresponse()
        body = reply.read()
        return f"200 {json.loads(body)['address']}" if reply.status == 200 else str(reply.status)
    except OSError as error:
        return str(error)
    finally:
        connection.close()


@contextlib.contextmanager
def started(*words: object, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, and end it with the block."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LBGEN_")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(map(str, words)), env={**inherited, **environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.proxy("caddy")
def test_caddy(tmp_path, servers):
    """`lbgen run` as the README has it: the command reloads Caddy; a restarted lbgen does not do so for nothing."""
    port, admin, output = free_port(), f"localhost:{free_port()}", tmp_path / "out"
    reload = ["caddy", "reload", "--adapter", "caddyfile", "--config", str(output / "Caddyfile"), "--address", admin]
    settings = {
        "source": {"file": str(tmp_path / "snapshot.json")},
        "listeners": {"web": {"bind": f"127.0.0.1:{port}"}},
        "targets": {
            "edge": {
                "templates": str(SETS / "caddy"),
                "output": str(output),
                "options": {"admin": admin},
                "apply": {"command": ["sh", "-c", f"echo >>{tmp_path}/reloads; exec {' '.join(reload)}"]},
            }
        },
        "min_reload_interval": "0s",
        "status": {"bind": ""},
        "log": {"format": "json"},
    }
    (tmp_path / "lbgen.yml").write_text(yaml.safe_dump(settings))

    def cluster(address: str, **keys: object) -> None:
        service = a_service("web", {"port": servers.port, "host": "web.test", **keys}, networks=("edge-id",))
        facts = decode.document(
            a_snapshot(a_node(), a_network(), service, a_task("web", addresses={"edge-id": address}))
        )
        (tmp_path / "new.json").write_text(json.dumps(facts))
        (tmp_path / "new.json").replace(tmp_path / "snapshot.json")

    def answers(expected: str, host: str = "web.test", path: str = "/") -> None:
        wait_for(lambda: answer(port, host, path) == expected, f"{expected}; {(tmp_path / 'log').read_text()}")

    def reloads() -> int:
        return len((tmp_path / "reloads").read_text().splitlines())

    lbgen = (sys.executable, "-m", "lbgen", "run", "--config", tmp_path / "lbgen.yml")
    caddy = ("caddy", "run", "--adapter", "caddyfile", "--config", output / "Caddyfile")
    cluster("127.1.0.1")
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(started(*lbgen, log=tmp_path / "log", PYTHONPATH=str(ROOT)))
        wait_for(lambda: (output / "Caddyfile").exists(), "the first files, which Caddy is then started with")
        stack.enter_context(started(*caddy, log=tmp_path / "caddy.log", **home))
        answers("200 127.1.0.1")
        cluster("127.1.0.2", path="/shop")
        answers("200 127.1.0.2", path="/shop/x")
        assert answer(port, "web.test", "/shopx") == "404"
        assert answer(port, "other.test") == "404"
        first.terminate()
        first.wait(PATIENCE)
        done = reloads()
        stack.enter_context(started(*lbgen, log=tmp_path / "log", PYTHONPATH=str(ROOT)))
        cluster("127.1.0.3", path="/new")
        answers("200 127.1.0.3", path="/new")
        assert reloads() == done + 1
