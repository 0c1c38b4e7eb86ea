"""Services of containers on hosts without Swarm: their servers, their way, their dialects."""

import pytest

from lbgen.labels.context import Ways
from lbgen.model import build
from lbgen.snapshot import ON_HOSTS, PublishedPort
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, host_port, lbgen_labels

RANDOM = host_port(8080)
A = a_node("a", id="a", role="host", address="192.0.2.11")
B = a_node("b", id="b", role="host", address="192.0.2.12")
TRAEFIK = {
    "traefik.enable": "true",
    "traefik.http.routers.web.rule": "Host(`web.org`)",
    "traefik.http.services.web.loadbalancer.server.port": "8080",
}


def on_hosts(**facts):
    """A service with a random port."""
    return a_service("web", {"host": "web.org"}, **{"endpoint_mode": ON_HOSTS, "ports": (RANDOM,), **facts})


def on(host, number=1, published=32768, **facts):
    """One of its tasks."""
    id_ = f"{host}{number}"
    port = PublishedPort(8080, published, "tcp", "host")
    return a_task("web", number, **{"id": id_, "node_id": host, "ports": (port,) if published else (), **facts})


def servers(*facts, **rules):
    """{name: (address, port, state)} of the only backend."""
    (backend,) = build(a_snapshot(*facts), a_rules(**rules)).backends
    return {server.name: (server.address, server.port, server.state) for server in backend.servers}


def test_names_and_ports():
    """SERVICE.HOST, from the second container on with its number; each has its own port."""
    assert servers(A, B, on_hosts(), on("a"), on("a", 2, 32770), on("b", 1, 40000), on("b", 10, 40001)) == {
        "web.a": ("192.0.2.11", 32768, "up"),
        "web.a.2": ("192.0.2.11", 32770, "up"),
        "web.b": ("192.0.2.12", 40000, "up"),
        "web.b.10": ("192.0.2.12", 40001, "up"),
    }


def test_names_outlive_scaling():
    """A server keeps its name when others come and go."""
    before = servers(A, on_hosts(), on("a"))
    assert before.items() <= servers(A, on_hosts(), on("a"), on("a", 2, 32770)).items()


@pytest.mark.parametrize("state", ["starting", "unhealthy", "paused", "restarting", "exited", "created", "dead"])
def test_absent(state):
    """Only a container that runs, and is healthy if it has a check, is a server."""
    assert servers(A, on_hosts(), on("a"), on("a", 2, 32770, state=state)) == {"web.a": ("192.0.2.11", 32768, "up")}


def test_stopping():
    """One that Docker is about to stop drains."""
    found = servers(A, on_hosts(), on("a"), on("a", 2, 32770, desired_state="shutdown"))
    assert found["web.a.2"] == ("192.0.2.11", 32770, "drain")


def test_unreachable():
    """A host that does not answer keeps its servers."""
    away = a_node("a", id="a", role="host", address="192.0.2.11", state="unreachable")
    assert servers(away, on_hosts(), on("a")) == {"web.a": ("192.0.2.11", 32768, "up")}


def test_loopback():
    """The settings may mean the proxy's own machine."""
    here = a_node("a", id="a", role="host", address="127.0.0.1")
    assert servers(here, on_hosts(), on("a")) == {"web.a": ("127.0.0.1", 32768, "up")}


@pytest.mark.parametrize(
    ("keys", "facts", "rules", "text", "remedy"),
    [
        (
            {"port": 8080},
            {"ports": ()},
            {},
            "share none of the service's networks (it is on: none)",
            "publish the port, or",
        ),
        ({"via": "task"}, {}, {"networks": ["edge"]}, "it is on: shop_default)", "write lbgen.via=host: port 8080 is"),
        (
            {"port": 8080},
            {"ports": ()},
            {"networks": ["none"]},
            "it is on: shop_default)",
            "publish the port, or name the",
        ),
        ({"via": "mesh"}, {}, {}, "hosts without Swarm have no mesh", "write lbgen.via=host"),
    ],
)
def test_remedies(keys, facts, rules, text, remedy):
    """There is no mesh to be told of; the host's own setting names networks that the proxy shares."""
    networks = ("net",) if "shop_default" in text else ()
    service = on_hosts(labels=lbgen_labels({"host": "web.org", **keys}), networks=networks, **facts)
    network = a_network("shop_default", id="net", driver="bridge")
    (problem,) = build(a_snapshot(A, network, service, on("a")), a_rules(**rules)).problems
    assert text in problem.message
    assert problem.remedy.startswith(remedy)
    assert "mesh" not in problem.remedy
    assert "setting source" in problem.remedy or problem.label == "lbgen.via"


def test_all_stopped():
    """The route stays, without a server: 503, not 404."""
    model = build(a_snapshot(A, on_hosts(), on("a", state="exited")), a_rules())
    assert [route.name for route in model.routes] == ["web"]
    assert not model.problems


def test_task_where_the_proxy_shares_a_network():
    """Where nothing is published: only containers of that host are reached."""
    front = a_network("front", id="front", driver="bridge")
    inner = {"addresses": {"front": "172.18.0.2"}, "published": 0}
    service = on_hosts(ports=(), networks=("front",), labels={"lbgen.enable": "true", "lbgen.port": "8080"})
    assert servers(A, B, front, service, on("a", **inner), on("b", published=0)) == {
        "web.a": ("172.18.0.2", 8080, "up")
    }


@pytest.mark.parametrize("ways", [Ways(), Ways("auto", "task", "vip")])
def test_traefik(ways):
    """Labels of containers work unchanged: where they are published, there they are reached."""
    found = servers(A, on_hosts(labels=TRAEFIK), on("a"), dialects=("traefik",), ways=ways)
    assert found == {"web.a": ("192.0.2.11", 32768, "up")}


def test_traefik_network():
    """`traefik.docker.network` names the network where nothing is published."""
    nets = [a_network(name, id=name, driver="bridge") for name in ("front", "back")]
    labels = TRAEFIK | {"traefik.docker.network": "front"}
    service = on_hosts(labels=labels, ports=(), networks=("back", "front"))
    task = on("a", published=0, addresses={"front": "172.18.0.2", "back": "172.19.0.2"})
    assert servers(A, *nets, service, task, dialects=("traefik",)) == {"web.a": ("172.18.0.2", 8080, "up")}


def test_compose_service_label_that_is_no_name():
    """The source leaves a good one out; another is a problem."""
    service = on_hosts(labels={"lbgen.enable": "true", "lbgen.service": "no good"})
    (problem,) = build(a_snapshot(A, service, on("a")), a_rules()).problems
    assert "lbgen.service" in str(problem)
    assert "write a name of letters, digits, - and _ there" in str(problem)
