"""Compose files as lbgen reads them and as `docker stack config` does: the same stack, or both refuse."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base import documents
from lbgen.base.errors import SourceError
from lbgen.source.compose.load import read_stack
from lbgen.source.compose.stack import Stack
from lbgen.source.compose.variables import BadTemplate, fill
from tests.support.compose_cases import CASES, files_of, variables_of
from tests.support.stack_config import needs_stack_config, stack_config

pytestmark = needs_stack_config
VARIABLES = {"SET": "value", "EMPTY": "", "PORT": "8080", "DASH": "a-b"}


def own(files: Sequence[Path], variables: Mapping[str, str]) -> Stack | str:
    """What lbgen makes of the files, or why docker would refuse them."""
    texts = [(str(file), file.read_text()) for file in files]
    try:
        found = [(name, text, documents.parse(text, name, SourceError)) for name, text in texts]
        stack, read = read_stack(found, variables)
    except SourceError as error:
        return str(error)
    return next((str(note) for file in read for note in file.notes if note.refused), stack)


def tidied(found: Stack | str) -> Stack | str:
    """Leave out the order of what has none."""
    if isinstance(found, str):
        return found
    services = {
        name: replace(
            service,
            networks=tuple(sorted(service.networks)),
            ports=tuple(sorted(service.ports, key=str)),
        )
        for name, service in found.services.items()
    }
    return Stack(services, found.networks)


def compare(files: Sequence[Path], variables: Mapping[str, str]) -> None:
    """Both make the same of the files, or both refuse them."""
    ours, docker = tidied(own(files, variables)), tidied(stack_config(files, variables))
    if isinstance(ours, str) or isinstance(docker, str):
        assert isinstance(ours, str) == isinstance(docker, str), f"lbgen: {ours}\ndocker: {docker}"
    else:
        assert ours == docker


def same(directory: Path, *texts: str) -> None:
    files = [directory / f"{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    compare(files, VARIABLES)


def a_service(body: str) -> str:
    return f"services:\n  web:\n    image: x\n    {body}\n"


@pytest.mark.parametrize(
    "body",
    [
        "deploy: {labels: {a: b, c: 1, d: 1.50, e: , f: yes, g: 1000000.0, h: 0x1f, i: 1e5, j: -1.5e-7}}",
        "deploy: {labels: {k: 123456789.0, l: 18446744073709551616, m: -0.0, n: '', o: 1e21, p: 1.0}}",
        "deploy: {labels: {a: true}}",
        "deploy: {labels: [a=b, c, d=, 'e=f=g', '=h', 'i: j']}",
        "deploy: {labels: [a, a]}",
        "deploy: {labels: [1]}",
        "deploy: {labels: [a: b]}",
        "deploy: {labels: }",
        "deploy: {labels: {a: {b: c}}}",
        "deploy: {labels: {'': b}}",
        "deploy: {labels: ['a=$$b', 'c=$SET', 'd=${EMPTY:-x}', 'e=${NONE}', 'f=$DASH']}",
        "deploy: ",
        "deploy: []",
        "deploy: {replicas: 3, mode: replicated, endpoint_mode: dnsrr}",
        "deploy: {replicas: '3'}",
        "deploy: {replicas: '${PORT}'}",
        "deploy: {replicas: '${SET}'}",
        "deploy: {replicas: -1}",
        "deploy: {replica: 3}",
        "deploy: {mode: global, placement: {constraints: [node.role==manager], max_replicas_per_node: 2}}",
        "deploy: {placement: {constraints: node.role==manager}}",
        "deploy: {placement: {preferences: [{spread: node.labels.zone}]}}",
        "deploy: {update_config: {order: start-first, delay: 10s, parallelism: 2}, restart_policy: {condition: any}}",
        "deploy: {update_config: {order: sideways}}",
        "deploy: {resources: {limits: {cpus: '0.5', memory: 50M}}}",
        "deploy: {resources: {limits: {cpus: 0.5}}}",
        "deploy: {resources: {reservations: {devices: []}}}",
        "ports: [80, '81', '82:83', '84-86:94-96', '97:97/udp', '98:98/TCP', '99:99/sctp', '100-102:200']",
        "ports: ['127.0.0.1:80:80', '[::1]:81:81', '2001:db8::1:82:82', '1.2.3.4::83']",
        "ports: ['84-86:94-95']",
        "ports: ['80/foo']",
        "ports: ['+80']",
        "ports: ['90-:80']",
        "ports: ['1:2:3:4']",
        "ports: ['[2001:db8::1:80:80']",
        "ports: ['86-84:80']",
        "ports: ['70000']",
        "ports: ['']",
        "ports: [a]",
        "ports: ['${PORT}:80', {target: '${PORT}', published: '${PORT}'}]",
        "ports: [{target: 80, published: 8080, protocol: udp, mode: host}]",
        "ports: [{target: 80, published: '8080'}]",
        "ports: [{target: 80, host_ip: 127.0.0.1}]",
        "ports: [{target: 80, publish: 8080}]",
        "ports: ['80:80', '80:80']",
        "ports: 80",
        "ports: ",
        "networks: [front, back]\nnetworks: {front: , back: {}}",
        "networks: {front: {aliases: [a]}, back: }\nnetworks: {front: {name: real}, back: {external: true}}",
        "networks: [front]\nnetworks: {front: {external: {name: real}}}",
        "networks: [front]\nnetworks: {front: {external: {name: real}, name: other}}",
        "networks: [front]\nnetworks: {front: {external: 'true'}}",
        "networks: [front]\nnetworks: {front: {external: '${NONE:-true}'}}",
        "networks: [front]\nnetworks: {front: {driver: overlay, attachable: true, labels: {a: b}, internal: false}}",
        "networks: [front]\nnetworks: {front: {drivers: overlay}}",
        "networks: ",
        "networks: {front: []}",
        "build: .\n    depends_on: [a]\n    container_name: a\n    restart: always",
        "links: [a]\n    network_mode: host\n    expose: [80, '81']\n    privileged: true",
        "depends_on: {a: {condition: service_healthy}}",
        "profiles: [a]",
        "extends: {service: a}",
        "mem_limit: 1m",
        "healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 10s, retries: 3, start_period: 40s}",
        "healthcheck: {interval: 1}",
        "healthcheck: {interval: 1y}",
        "logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}",
        "volumes: [a:/b, {type: volume, source: a, target: /b, volume: {nocopy: true}}]\nvolumes: {a: }",
        "volumes: [{source: a, target: /b}]",
        "secrets: [a, {source: a, target: b, mode: 0440}]\nsecrets: {a: {external: true}}",
        "configs: [a]\nconfigs: {a: {file: ./a}, b: {name: 'b-${SET}', external: true}}",
        "environment: {A: 1, B: , C: x}",
        "environment: {A: true}",
        "env_file: [a: b]",
        "command: 3",
        "command: [a, 3]",
        "init: true\n    tty: true\n    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}\n    x-own: {a: b}",
        "ulimits: {nofile: {soft: 1}}",
        "init: 'yes'",
        "privileged: '${NONE:-yes}'",
        "nonsense: 1",
        "x-a: 1\nx-b: {c: [d]}",
        "user: a\nname: stack",
        "user: a\ninclude: [a.yml]",
        "user: a\nversion: '3'",
        "user: a\nversion: '3.8'",
        "user: a\nversion: '3.99'",
        "user: a\nversion: '2.1'",
        "user: a\nversion: 3.8",
        "user: a\nversion: ''",
        "init: true\nversion: '3.6'",
        "init: true\nversion: '3.7'",
        "x-a: b\nversion: '3.6'",
        "user: a\nversion: '3.3'\nx-a: b",
        "networks: [a]\nnetworks: {a: {name: b}}\nversion: '3.4'",
        "deploy: &d {labels: {a: b}}\n  other:\n    image: y\n    deploy:\n      <<: *d\n      replicas: 2",
    ],
)
def test_one_file(tmp_path: Path, body: str) -> None:
    """One service with this in it."""
    same(tmp_path, a_service(body))


@pytest.mark.parametrize(
    ("base", "override"),
    [
        ("deploy: {labels: {a: x, b: y}, replicas: 2}", "deploy: {labels: ['a=', 'c=z'], replicas: 0}"),
        ("deploy: {placement: {constraints: [a]}}", "deploy: {placement: {constraints: [a, b]}, mode: global}"),
        ("deploy: {endpoint_mode: vip}", "deploy: {endpoint_mode: dnsrr}"),
        ("deploy: {labels: {a: b}}", "deploy: "),
        ("user: a", "deploy: {labels: {a: b}}"),
        ("ports: ['80:80', '81:81']", "ports: ['80:8080', {target: 1, published: 81, mode: host}]"),
        ("ports: ['80', '90']", "user: a"),
        ("ports: ['53:53/udp', '53:53/tcp']", "ports: []"),
        ("user: a", "ports: ['53:53/udp', '53:53/tcp', '80', '90']"),
        ("ports: ['80:80']", "ports: ['53:53/udp', '53:53/tcp', '90']"),
        ("networks: [a]\nnetworks: {a: {external: true}}", "networks: {b: }\nnetworks: {b: }"),
        ("networks: [a]\nnetworks: {a: {external: true}}", "user: a\nnetworks: {a: {attachable: true}}"),
        ("networks: [a]\nnetworks: {a: {external: true}}", "user: a\nnetworks: {a: }"),
        ("networks: [a]\nnetworks: {a: {name: x, labels: {b: c}}}", "user: a\nnetworks: {a: {labels: {d: e}}}"),
        ("user: a\nversion: '3.8'", "user: b\nversion: '3.7'"),
        ("user: a\nversion: '3.8'", "user: b\nversion: '3'"),
        ("user: a\nversion: '3.8'", "user: b"),
    ],
)
def test_two_files(tmp_path: Path, base: str, override: str) -> None:
    """One service in two files."""
    same(tmp_path, a_service(base), a_service(override))


def test_other_files(tmp_path: Path) -> None:
    """A service of one file only, a file without services, and one without anything."""
    same(tmp_path, a_service("user: a"), "services: {other: {image: y}}")
    same(tmp_path, a_service("networks: [a]\nnetworks: {a: }"), "networks: {a: {name: b}}")
    same(tmp_path, "services: {}")
    same(tmp_path, "services: {web: }")
    same(tmp_path, "services: {'web app': {image: a}}")
    same(tmp_path, a_service("user: a"), "{}")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_corpus(case: Path) -> None:
    """The stack files of tests/compose."""
    compare(files_of(case), variables_of(case))


_OPERANDS = st.sampled_from(["SET", "EMPTY", "NONE", "DASH", "$SET", "${SET}", "x", "-", " ", ".", "", "1"])
_PIECES = st.one_of(
    _OPERANDS,
    st.sampled_from(["$$", "$", "}", "{", ":-", "-", "?", ":?", "plain", "'", ":", "\u00e9"]),
    st.builds(
        "${{{}{}{}}}".format, _OPERANDS, st.sampled_from(["", ":-", "-", ":?", "?", ":", ":-:-", "?-"]), _OPERANDS
    ),
    st.builds("${}{}{}".format, _OPERANDS, st.sampled_from(["", "-", ":-", "?", ".", "/"]), _OPERANDS),
    st.text(string.ascii_letters + "${}:?-_", max_size=8),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(_PIECES, min_size=1, max_size=5).map("".join), min_size=20, max_size=20))
def test_interpolation(tmp_path_factory: pytest.TempPathFactory, templates: list[str]) -> None:
    """Any template gives the text that docker makes of it; those that are refused are left out here."""
    usable = []
    for template in templates:
        try:
            usable.append((template, fill(template, VARIABLES).text))
        except BadTemplate:
            continue
    quoted = ["'" + template.replace("'", "''") + "'" for template, _ in usable]
    file = tmp_path_factory.mktemp("x") / "a.yml"
    labels = "".join(f"\n        l{number}: {text}" for number, text in enumerate(quoted))
    file.write_text(f"services:\n  web:\n    image: x\n    deploy:\n      labels:{labels or ' {}'}\n")
    docker = stack_config([file], VARIABLES)
    assert isinstance(docker, Stack), docker
    assert docker.services["web"].labels == {f"l{number}": text for number, (_, text) in enumerate(usable)}


@settings(max_examples=40, deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=3).map("".join))
def test_refused_templates(tmp_path_factory: pytest.TempPathFactory, template: str) -> None:
    """A template that lbgen refuses docker refuses too, unless a later variable in it makes docker forget the error."""
    try:
        fill(template, VARIABLES)
    except BadTemplate:
        quoted = "'" + template.replace("'", "''") + "'"
        file = tmp_path_factory.mktemp("x") / "a.yml"
        file.write_text(f"services:\n  web:\n    image: x\n    user: {quoted}\n")
        docker = stack_config([file], VARIABLES)
        assert isinstance(docker, str) or template.count("$") > 1, docker
