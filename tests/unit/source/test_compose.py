"""Compose files: interpolation, ports, merging, what is noted, and what is invented.

test_compose_docker.py compares the reading with docker's own, where there is one; this file says it without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base import documents
from lbgen.base.errors import SourceError
from lbgen.report.lint import Report
from lbgen.report.positions import Positions
from lbgen.snapshot import Note, PublishedPort, Service, Snapshot
from lbgen.source.compose import is_compose, ports
from lbgen.source.compose.load import load_stack
from lbgen.source.compose.schema import FILE
from lbgen.source.compose.schema_types import Shape
from lbgen.source.compose.stack import as_text, pairs
from lbgen.source.compose.variables import BadTemplate, fill
from tests.support.paths import FIXTURES

VARIABLES = {"SET": "value", "EMPTY": "", "PORT": "8080", "_x1": "low"}


def loaded(*texts: str, stack: str = "s", variables: Mapping[str, str] = VARIABLES) -> Snapshot:
    """The snapshot of files called a.yml, b.yml ..."""
    found = [(f"{name}.yml", text) for name, text in zip("abc", texts, strict=False)]
    parsed = [(name, text, documents.parse(text, name, SourceError)) for name, text in found]
    return load_stack(parsed, stack, variables)


def a_service(body: str) -> str:
    return f"services:\n  web:\n    image: x\n    {body}\n"


def only(snapshot: Snapshot) -> Service:
    (service,) = snapshot.services.values()
    return service


def refused(*texts: str) -> str:
    with pytest.raises(SourceError) as raised:
        loaded(*texts)
    return str(raised.value)


# -- interpolation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a${SET}b$_x1.c", "avalueblow.c"),
        ("$$SET", "$SET"),
        ("$$$SET", "$value"),
        ("$${SET}", "${SET}"),
        ("${EMPTY}", ""),
        ("${NONE}", ""),
        ("${NONE-}", ""),
        ("${NONE-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${EMPTY:-x}", "x"),
        ("${SET:-x}", "value"),
        ("${SET-x}", "value"),
        ("${NONE:-a-b:-c}", "a-b:-c"),
        ("${NONE:-a:b/c$d e}", "a:b/c$d e"),
        ("${NONE:-}}", "}"),
        ("${SET:?no}", "value"),
        ("${SET?no}", "value"),
        ("${EMPTY?no}", ""),
        ("${SET:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        # Docker's own: operators count without braces, a dash counts anywhere, defaults are not looked into.
        ("$SET-x", "value"),
        ("$NONE-x.example.org", "x.example.org"),
        ("${SET:?set-me}", "me"),
        ("${NONE:-${SET}}", "${SET}"),
    ],
)
def test_fill(template, text):
    """What stands for what."""
    assert fill(template, VARIABLES).text == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("$", "a $ begins no variable"),
        ("a$ b", "a $ begins no variable"),
        ("${}", "a $ begins no variable"),
        ("${SET", "a $ begins no variable"),
        ("$1", "a $ begins no variable"),
        ("${SET:x}", "a $ begins no variable"),
        ("${SE T}", "a $ begins no variable"),
        ("${\u00c9}", "a $ begins no variable"),
        ("${bad b} ${SET}", "a $ begins no variable"),
        ("${NONE:?who}", "variable NONE is not set or empty: who"),
        ("${EMPTY:?}", "variable EMPTY is not set or empty"),
        ("${NONE?}", "variable NONE is not set"),
    ],
)
def test_bad_templates(template, message):
    """Refused, with what is wrong."""
    with pytest.raises(BadTemplate) as raised:
        fill(template, VARIABLES)
    assert raised.value.message == message


@pytest.mark.parametrize(
    ("template", "message", "is_refused"),
    [
        ("${NONE}", "variable NONE is not set: it stands for nothing", False),
        ("$SET-x", "'-x' belongs to the variable, as in ${SET-x}: an operator counts without braces as well", False),
        ("${SET:?set-me}", "a dash makes a default of what follows it: ${SET:?set-me} is always 'me'", False),
        ("${NONE:-$SET}", "the default '$SET' is taken as it is: `docker stack deploy` looks for no variables", False),
        ("${SET:+x}", "`docker stack deploy` does not know ${SET:+...}", True),
    ],
)
def test_remarks(template, message, is_refused):
    """What is not what it looks like is told."""
    (remark,) = fill(template, VARIABLES).remarks
    assert remark.message.startswith(message)
    assert remark.refused is is_refused


@given(st.text(), st.dictionaries(st.from_regex("[_a-zA-Z][_a-zA-Z0-9]*", fullmatch=True), st.text()))
def test_any_text_is_filled_or_refused(text, variables):
    """Nothing else comes of it; a text without dollars is itself, and escaped dollars come back."""
    try:
        filled = fill(text, variables).text
    except BadTemplate:
        assert "$" in text
    else:
        assert "$" in text or filled == text
    assert fill(text.replace("$", "$$"), variables).text == text


@given(st.from_regex("[_a-zA-Z][_a-zA-Z0-9]*", fullmatch=True), st.text(), st.from_regex("[^}$]*", fullmatch=True))
def test_a_set_variable_is_its_value(name, value, other):
    """Whatever stands in the value is not read again."""
    assert fill(f"<${{{name}}}>", {name: value}).text == f"<{value}>"
    assert fill(f"<${{{name}:-{other}}}>", {name: value}).text == f"<{value or other}>"


def test_casts():
    """Numbers and booleans may come from variables where docker lets them."""
    text = a_service("deploy: {replicas: '${N}'}\n    ports: [{target: '${PORT}', published: '${PORT}'}]")
    found = only(loaded(text, variables={"N": "3", "PORT": "8080"}))
    assert (found.replicas, found.ports) == (3, (PublishedPort(8080, 8080),))
    assert "a.yml:4: services.web.deploy.replicas: 'value' is not a whole number" in refused(
        a_service("deploy: {replicas: $SET}")
    )


def test_variables_are_told_once():
    """An unset variable that is used ten times is one note, at its first place."""
    (note,) = loaded(a_service("user: $NONE\n    hostname: $NONE")).notes
    assert str(note) == "a.yml:4: services.web.user: variable NONE is not set: it stands for nothing; set NONE"


# -- labels and ports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("yes", "yes"),
        (True, "true"),
        (8080, "8080"),
        (1.5, "1.5"),
        (1.0, "1"),
        (-0.0, "-0"),
        (123456.5, "123456.5"),
        (1e5, "100000"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (-1.5e-7, "-1.5e-07"),
        (0.0001, "0.0001"),
        (2**64 - 1, "18446744073709551615"),
        (2**64, "1.8446744073709552e+19"),
    ],
)
def test_as_text(value, text):
    """Numbers in labels are written as Go does."""
    assert as_text(value) == text


def test_labels():
    """Both forms; the stack's own labels are added."""
    as_list = "deploy: {labels: [a=b, 'c=d=e', f, 'g=']}"
    assert only(loaded(a_service(as_list))).labels == {
        "a": "b",
        "c": "d=e",
        "com.docker.stack.image": "x",
        "com.docker.stack.namespace": "s",
        "f": "",
        "g": "",
    }
    assert pairs({"a": None, "b": 1}) == {"a": "", "b": "1"}
    assert pairs(None) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (8080, [(8080, 0, "tcp")]),
        ("8080", [(8080, 0, "tcp")]),
        ("80:8080", [(8080, 80, "tcp")]),
        ("53:53/udp", [(53, 53, "udp")]),
        ("53:53/UDP", [(53, 53, "udp")]),
        ("127.0.0.1:80:8080", [(8080, 80, "tcp")]),
        ("[::1]:80:8080", [(8080, 80, "tcp")]),
        ("2001:db8::1:80:8080", [(8080, 80, "tcp")]),
        ("127.0.0.1::8080", [(8080, 0, "tcp")]),
        ("80-81:90-91", [(90, 80, "tcp"), (91, 81, "tcp")]),
        ("80-81:90", [(90, 80, "tcp"), (90, 81, "tcp")]),
        ("90-91/sctp", [(90, 0, "sctp"), (91, 0, "sctp")]),
    ],
)
def test_short_ports(text, expected):
    """Target, published, protocol; always the routing mesh."""
    assert ports.short(text) == [PublishedPort(*port) for port in expected]


@pytest.mark.parametrize(
    "text",
    ["", "a", "80:", "80/http", "+80", "80-", "81-80", "80-81:90-92", "70000", "1:2:3:4", "300.1.1.1:80:80", 1.5],
)
def test_no_short_ports(text):
    """Refused."""
    assert not ports.is_short(text)


# -- what is refused, and noted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: {web: }", "a.yml:1: services.web: expected a mapping, found nothing; correct it"),
        (
            "services: {web app: {image: x}}",
            "a.yml:1: services.web app: is not a valid name: it may have letters",
        ),
        ("services: {web: {imgae: x}}", "services.web.imgae: is not a key that is known here; did you mean image?"),
        ("services: {web: {1: x}}", "services.web[1]: expected a text as key, found 1; put it into quotes"),
        ("service: {web: {image: x}}\nnetworks: {}", "a.yml:1: service: is not a key that is known here"),
        ("services: {}\nversion: '2.4'", "a.yml:2: version: `docker stack deploy` reads versions 3.0 to 3.13"),
        ("services: {}\nvolumes: []", "volumes: expected a mapping, found a list; correct it"),
        (a_service("deploy: {replicas: -1}"), "a.yml:4: services.web.deploy.replicas: -1 is less than nothing"),
        (a_service("deploy: {mode: globl}"), "deploy.mode: there is no mode 'globl'; write one of replicated, global"),
        (a_service("deploy: {endpoint_mode: x}"), "there is no endpoint_mode 'x'; write one of vip, dnsrr"),
        (
            a_service("deploy: {labels: {a: [b]}}"),
            "deploy.labels.a: expected a text or a number or nothing, found a list",
        ),
        (a_service("ports: ['80/x']"), "services.web.ports[0]: '80/x' is not a port as 8080, 80:8080"),
        (a_service("ports: [{published: 80}]"), "services.web.ports[0].target: 0 is not a port that an application"),
        (a_service("ports: [{target: 80, mode: x}]"), "services.web.ports[0].mode: there is no mode 'x'"),
        (a_service("ports: [{target: 80, protocol: x}]"), "there is no protocol 'x'; write tcp, udp or sctp"),
        (
            a_service("ports: [{target: 80, published: 99999}]"),
            "99999 is not a port; write 1 to 65535, or leave it",
        ),
        (a_service("ports: [{target: 80, published: x}]"), "services.web.ports[0].published: 'x' is not a port"),
        *[
            (
                a_service(f"ports: [{{target: 80, published: '{text}'}}]"),
                f"a.yml:4: services.web.ports[0].published: '{text}' is not a port, or a range of ports such as",
            )
            for text in ("8080:80", "80-", "-1", "80/tcp", "90-80", "99999")
        ],
        (a_service("networks: [front]"), "a.yml:4: services.web.networks: there is no network front; add it to"),
        (a_service("extends: {service: a}"), "services.web.extends: `docker stack deploy` does not know it; copy what"),
        ("services: {}\ninclude: [a.yml]", "include: `docker stack deploy` does not know it; give both files"),
        (
            a_service("user: '${NONE:?please}'"),
            "'${NONE:?please}': variable NONE is not set or empty: please; set NONE",
        ),
        (a_service("volumes: [{target: /a}]"), "services.web.volumes[0]: has no type; add it"),
        (
            a_service("networks: [a]\nnetworks: {a: {external: {name: b}, name: c}}"),
            "conflicts with the network's name",
        ),
    ],
)
def test_refused(text, message):
    """Where, what is wrong, and what to do."""
    assert message in refused(text)


def test_everything_is_told_at_once():
    """All errors of all files, in their order."""
    lines = refused(a_service("foo: 1\n    deploy: {bar: 2}"), a_service("baz: 3")).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["a.yml:4", "services.web.foo"],
        ["a.yml:5", "services.web.deploy.bar"],
        ["b.yml:4", "services.web.baz"],
    ]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (a_service("build: ."), "note: a.yml:4: services.web.build: `docker stack deploy` ignores it"),
        (
            a_service("ports: ['127.0.0.1:80:80']"),
            "note: a.yml:4: services.web.ports[0]: Swarm does not heed the address",
        ),
        (a_service("labels: [lbgen.enable=true]"), "note: a.yml:4: services.web.labels: lbgen.enable would be"),
        (a_service("labels: {Traefik.enable: 'true'}"), "services.web.labels: Traefik.enable would be labels of the"),
        (
            a_service("deploy: {placement: {constraints: [node.labels.a==b]}}"),
            "which nodes fit 'node.labels.a==b' is not",
        ),
        (
            a_service("deploy: {placement: {constraints: [node.role==manager, node.role!=manager]}}"),
            "note: a.yml:4: services.web.deploy.placement.constraints: no node can fit all of them",
        ),
        (
            a_service("deploy: {labels: {a: true}}"),
            "refused: a.yml:4: services.web.deploy.labels.a: `docker stack deploy`",
        ),
        (
            a_service("ports: ['80:80']\n    deploy: {endpoint_mode: dnsrr}"),
            "refused: a.yml:4: services.web.ports: 80/tcp is published in ingress mode, and endpoint_mode is dnsrr",
        ),
        (
            a_service("deploy: {labels: [lbgen.port=80, lbgen.port=81]}"),
            "label lbgen.port is there twice, as '80' and as '81', and the last one counts; remove one of the two",
        ),
        (
            a_service("labels: {lbgen.port: 80}\n    deploy: {labels: [lbgen.port=81]}"),
            "label lbgen.port has another value under deploy.labels, which is the one that counts; remove it here",
        ),
        (
            a_service("environment: {VIRTUAL_HOST: a.org}"),
            "services.web.environment: VIRTUAL_HOST is for nginx-proxy, which follows the containers of one host",
        ),
        (
            a_service("init: true\nversion: '3.6'"),
            "refused: a.yml:4: services.web.init: is new in version 3.7, and this",
        ),
        ("services: {web: {build: .}}", "refused: a.yml:1: services.web: has no image; name one"),
        (
            a_service("deploy: {mode: global, replicas: 2}"),
            "refused: a.yml:4: services.web.deploy.replicas: mode global",
        ),
        (a_service("networks: [a]\nnetworks: {a: {driver: bridge}}"), "network a is a bridge, which is of one node"),
        (
            a_service("ports: ['80:80']\n  api: {image: y, ports: ['80:8080']}"),
            "refused: a.yml:4: services.web.ports: 80/tcp is published by service api already; publish another port",
        ),
    ],
)
def test_notes(text, note):
    """What is ignored, and what is read although it would be refused; `lbgen lint` fails for the latter."""
    snapshot = loaded(text)
    told = [f"{'refused' if found.refused else 'note'}: {found}" for found in snapshot.notes]
    assert any(note in line for line in told), told
    report = Report((), (), notes=snapshot.notes)
    assert report.failing(strict=False) == any(line.startswith("refused") for line in told)
    assert [found["text"] for found in report.document(Positions([]))["notes"]] == [
        str(found) for found in snapshot.notes
    ]
    shown = list(report.lines(Positions([])))
    assert shown[0] == "file a.yml"
    assert sum("refused by docker" in line for line in shown) == sum(found.refused for found in snapshot.notes)


def test_ports_that_do_not_clash():
    """In mode host services on other nodes may have the same; so may another protocol."""
    host_port = "ports: [{target: 80, published: 80, mode: host}]"
    assert loaded(a_service(f"{host_port}\n  api:\n    image: y\n    {host_port}")).notes == ()
    assert loaded(a_service("ports: ['53:53/tcp', '53:53/udp', 80, 81]")).notes == ()


def test_no_notes():
    """A plain file has nothing to be told."""
    assert loaded(a_service("labels: {org.example: x}\n    ports: ['0.0.0.0:80:80']")).notes == ()
    assert list(Report((), ()).lines(Positions([]))) == ["0 of 0 services routed; nothing to complain about"]
    assert str(Note("a.yml", 0, "", "so it is")) == "a.yml: so it is"


def test_the_same_keys_as_docker():
    """Every key that docker's schemas have, since the same version; what begins with x- is left out."""
    recorded = json.loads((FIXTURES / "compose-keys.json").read_text())
    found: dict[str, int] = {}

    def walk(shape: Shape, prefix: str, since: int) -> None:
        for key, inner in shape.keys.items():
            found[prefix + key] = newer = max(since, inner.since)
            walk(inner, f"{prefix}{key}.", newer)
        if shape.each is not None:
            walk(shape.each, f"{prefix}*.", since)
        if shape.items is not None:
            walk(shape.items, f"{prefix}[].", since)

    walk(FILE, "", 0)
    assert found == recorded["keys"]


# -- merging -------------------------------------------------------------------------------------------------


def test_merge():
    """Scalars are replaced, maps joined, constraints appended, ports joined by the published one."""
    base = a_service(
        "ports: ['80:80', '81:81']\n    networks: [a]\n    deploy: {labels: {a: 1, b: 2}, replicas: 2,"
        " placement: {constraints: [node.role==worker]}}\nnetworks: {a: , b: }"
    )
    later = "services: {web: {ports: ['81:82'], networks: {b: }, deploy: {labels: [b=3], replicas: 0}}}"
    found = only(loaded(base, later))
    assert found.ports == (PublishedPort(80, 80), PublishedPort(82, 81))
    assert found.networks == ("s_a", "s_b")
    assert (found.labels["a"], found.labels["b"], found.replicas) == ("1", "3", 0)
    assert loaded(base, later).notes == ()


def test_merging_loses_ports():
    """As docker does: of several ports with one published port the last remains. That is told."""
    base = a_service("ports: ['53:53/udp', '53:53/tcp']")
    snapshot = loaded(base, "services: {web: {user: a}}")
    assert only(snapshot).ports == (PublishedPort(53, 53),)
    (note,) = snapshot.notes
    assert str(note).startswith("b.yml:1: services.web: merging loses port 53:53/udp")


def test_versions_of_merged_files():
    """Must be the same."""
    message = refused(a_service("user: a\nversion: '3.8'"), a_service("user: a"))
    assert "b.yml:1: version: version 3.13 cannot be merged with 3.8 of a.yml" in message


# -- invention -----------------------------------------------------------------------------------------------


def test_names():
    """The stack's name before those of services and networks, but for external and named ones."""
    snapshot = loaded(
        a_service("networks: [a, b, c, d]\n  api: {image: y}\nnetworks:")
        + "  a: \n  b: {name: real}\n  c: {external: true}\n  d: {external: {name: host}}\n",
        stack="shop",
    )
    assert list(snapshot.services) == ["shop_api", "shop_web"]
    assert [network.name for network in snapshot.networks.values()] == ["c", "real", "shop_a", "shop_default"]
    assert snapshot.services["shop_web"].networks == ("c", "host", "real", "shop_a")
    assert snapshot.tasks["shop_web.1"].addresses.keys() == {"c", "real", "shop_a"}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("shop.yml", "shop"),
        ("/srv/My Shop/docker-compose.yml", "my-shop"),
        ("/srv/shop/docker-compose.prod.yml", "shop"),
        ("/srv/shop/stack.yaml", "shop"),
        ("/srv/shop/compose-test.yml", "shop"),
        ("/srv/shop/Docker_Stack.yml", "docker_stack"),
        ("/docker-stack.yml", "stack"),
    ],
)
def test_name_made_from_the_file(file, name):
    """Its own, or that of its directory where it has one of the usual names; told, since it is a guess."""
    text = a_service("user: a")
    snapshot = load_stack([(file, text, documents.parse(text, file, SourceError))], "", {})
    assert list(snapshot.services) == [f"{name}_web"]
    assert "give its name with --stack" in str(snapshot.notes[0])


def test_name_in_the_file():
    """Compose's own key, which `docker stack deploy` refuses; what was given goes before it."""
    text = a_service("user: a\nname: inner")
    assert list(loaded(text, stack="").services) == ["inner_web"]
    assert list(loaded(text, stack="outer").services) == ["outer_web"]
    with pytest.raises(SourceError, match="'a b' cannot be the name of a stack"):
        loaded(text, stack="a b")


def test_tasks():
    """Replicas go round the nodes that fit; what finds no room is pending; jobs have none."""
    snapshot = loaded("""
services:
  all: {image: x, deploy: {mode: global}}
  job: {image: x, deploy: {mode: global-job}}
  many: {image: x, deploy: {replicas: 4}}
  one: {image: x, deploy: {replicas: 3, placement: {max_replicas_per_node: 1, constraints: [node.role != manager]}}}
  port: {image: x, ports: [{target: 80, published: 80, mode: host}], deploy: {replicas: 4}}
  none: {image: x, deploy: {replicas: 0}}
  nowhere: {image: x, deploy: {placement: {constraints: [node.platform.os == windows]}}}
""")
    placed = {id_: (task.node_id, task.slot, task.state) for id_, task in snapshot.tasks.items()}
    assert placed == {
        "s_all.node1": ("node1", 0, "running"),
        "s_all.node2": ("node2", 0, "running"),
        "s_all.node3": ("node3", 0, "running"),
        "s_many.1": ("node1", 1, "running"),
        "s_many.2": ("node2", 2, "running"),
        "s_many.3": ("node3", 3, "running"),
        "s_many.4": ("node1", 4, "running"),
        "s_one.1": ("node2", 1, "running"),
        "s_one.2": ("node3", 2, "running"),
        "s_one.3": ("", 3, "pending"),
        "s_nowhere.1": ("", 1, "pending"),
        "s_port.1": ("node1", 1, "running"),
        "s_port.2": ("node2", 2, "running"),
        "s_port.3": ("node3", 3, "running"),
        "s_port.4": ("", 4, "pending"),
    }


def test_ports_that_swarm_would_choose():
    """In Swarm's own ranges, another one for each; in host mode another one for each task."""
    snapshot = loaded(a_service("ports: [80, 81, {target: 82, mode: host}]\n    deploy: {replicas: 3}"))
    chosen = [port.published for port in only(snapshot).ports]
    assert len(set(chosen)) == 3
    assert all(30000 <= port <= 32767 for port in chosen[:2])
    opened = [task.ports[0].published for task in snapshot.tasks.values()]
    assert len(set(opened)) == 3
    assert all(32768 <= port <= 60999 for port in opened)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.from_regex("[a-z]{1,3}", fullmatch=True),
        st.sampled_from([0, 1, 2, 251, 252, 253, 600]),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["vip", "dnsrr"]),
)
def test_addresses(services, endpoint_mode):
    """No two tasks or virtual addresses are the same, and the same file gives the same snapshot."""
    text = json.dumps(
        {
            "services": {
                name: {"image": "x", "deploy": {"replicas": replicas, "endpoint_mode": endpoint_mode}}
                for name, replicas in services.items()
            }
        }
    )
    snapshot = loaded(text)
    addresses = [address for task in snapshot.tasks.values() for address in task.addresses.values()]
    addresses += [address for service in snapshot.services.values() for address in service.virtual_ips.values()]
    virtual = len(services) if endpoint_mode == "vip" else 0
    assert len(addresses) == len(set(addresses)) == sum(services.values()) + virtual
    assert loaded(text) == snapshot


def test_more_than_can_be_invented():
    """Refused in time, whatever is asked for; ports that Swarm has no numbers left for are not published."""
    assert "services.web.deploy.replicas: with it the stack has more than 50000 addresses" in refused(
        a_service("deploy: {replicas: 1000000000}")
    )
    published = [port.published for port in only(loaded(a_service("ports: ['1-3000']"))).ports]
    assert len({port for port in published if port}) == 2768
    later = loaded(a_service("ports: ['1-20000:80']"), a_service("ports: ['1-20000:81']"))
    assert {port.target for port in only(later).ports} == {81}


def test_a_service_more_changes_no_other():
    """A pull request that adds or scales a service shows that and nothing else."""
    one = loaded("services: {web: {image: x, ports: [80], deploy: {replicas: 2}}}")
    two = loaded(
        "services: {api: {image: y, ports: [80]}, web: {image: x, ports: [80], deploy: {replicas: 3}}, zoo: {image: z}}"
    )
    assert two.services["s_web"].ports == only(one).ports
    assert two.services["s_web"].virtual_ips == only(one).virtual_ips
    assert all(two.tasks[id_] == task for id_, task in one.tasks.items())


@pytest.mark.parametrize("data", [None, [], "x", {}, {"services": []}, {"version": 1, "nodes": []}])
def test_no_compose_files(data):
    """Snapshots, and what is neither."""
    assert not is_compose(data)
