"""Hubs on three managers and edges that can only dial out, one of them through WireGuard; traffic at both all the time.

Each test prints what it measured. Seconds of a change begin with what Swarm's engine says of the task.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lbgen.hub.authority import Authority, read_bundle
from lbgen.hub.fleet_edges import HAND
from lbgen.snapshot import moment
from lbgen.source.file import load
from lbgen.source.hosts.host import Host
from lbgen.source.hosts.source import HostsSource
from lbgen.source.hub.certificates import Holder, Refused, certificate_in, holder_of
from lbgen.source.hub.exchange import PEER, exchange
from lbgen.source.hub.handout import Bundle, Handout
from lbgen.source.hub.identity import join
from tests.lab import probe, vpn
from tests.lab.fleet import EDGES, HOST, HUB, WEB_HOST, Fleet
from tests.lab.fleet_daemon import Daemon, at_once, printed
from tests.lab.host import wait_for
from tests.lab.lies import beyond_its_host, in_place_of
from tests.lab.services import Lab
from tests.lab.sidecar import WEB
from tests.support import hub_and_edges


@pytest.fixture(scope="module")
def fleet(managers_session: Lab) -> Iterator[Fleet]:
    """Three hubs, two edges that have joined, and a service of two tasks."""
    if missing := vpn.missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"apt-get install {' '.join(missing)}")
    managers_session.clean()
    # Not pytest's directory: the path of a unix socket may have 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="lbf-") as directory,
        Fleet(managers_session, Path(directory)).running() as made,
    ):
        yield made
    managers_session.clean()


def told(what: str, traffic: dict[str, Any], *figures: str) -> None:
    """Print the figures of a test, and have no request have failed."""
    results = {name: each.result for name, each in traffic.items()}
    lost = ", ".join(f"{name} {each.failed} of {each.sent}" for name, each in results.items())
    print(f"\n{what}: requests failed at {lost}{''.join(f'; {each}' for each in figures)}")
    assert not any(each.failed for each in results.values()), results


def test_what_changes_is_live_at_both_edges(fleet: Fleet) -> None:
    """A service that is scaled and updated is followed without a lost request, also through the VPN."""
    before = fleet.vpn.received(EDGES["e2"])
    with fleet.traffic() as traffic:
        began = time.time()
        fleet.scale(3)
        fleet.wait_served()
        lags = [f"{name} {fleet.lag(name, began) * 1000:.0f} ms" for name in fleet.edges]
        fleet.service.update("--args", "--on-term drain:1 --version v2")
        fleet.wait_served()
        fleet.scale(2)
        fleet.wait_served()
    told("scaled", traffic, f"a task that runs is live after {', '.join(lags)}")
    through = fleet.vpn.received(EDGES["e2"]) - before
    print(f"through {fleet.vpn.kind} WireGuard: {through >> 10} KiB")
    assert through > 100 * traffic["e2"].result.ok


def test_nobody_can_dial_an_edge(fleet: Fleet) -> None:
    """The edges' ports are closed to everybody else, and their hubs' to nobody who can reach them."""
    node = fleet.lab.nodes["n2"]
    for address in (fleet.lab.settings.address(10 + EDGES["e1"]), vpn.inner(EDGES["e2"])):
        with pytest.raises(TimeoutError):
            probe.connect(address, WEB, netns=fleet.lab.nodes["n1"].netns, timeout=0.5)
    probe.connect(node.address, HUB, netns=fleet.edges["e2"].netns).close()


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_hub_is_lost(fleet: Fleet, how: str) -> None:
    """Edges go on with another hub, which tells them what happens then; one that is silent is found by its pings."""
    name = fleet.edges["e1"].wait_hub()
    lost, others = fleet.hubs[name], fleet.hubs.keys() - {name}
    with fleet.traffic() as traffic:
        began = time.time()
        lost.kill() if how == "killed" else lost.freeze()
        try:
            fleet.edges["e1"].wait_hub(*others)
            seconds = fleet.edges["e1"].logged("hub_connected") - began
            fleet.scale(3)
            fleet.wait_served()
            lag = fleet.lag("e1", began)
        finally:
            lost.start() if how == "killed" else lost.freeze(False)
        lost.wait_ready()
        fleet.scale(2)
        fleet.wait_served()
    told(f"hub {how}", traffic, f"another after {seconds:.2f} s, by which e1 is {lag * 1000:.0f} ms after a task runs")


def test_leader_changes(fleet: Fleet) -> None:
    """What another leader decides arrives; an edge whose hub has lost its manager goes over to another."""
    leader = fleet.lab.leader
    hub = fleet.hubs[f"m{leader.index}"]
    with fleet.traffic() as traffic:
        began = time.time()
        leader.stop()
        try:
            fleet.scale(3)
            fleet.wait_served()
            lag = fleet.lag("e1", began)
            for edge in fleet.edges.values():
                edge.wait_hub(*fleet.hubs.keys() - {hub.name})
        finally:
            leader.start()
        fleet.lab.wait_ready()
        fleet.scale(2)
        fleet.wait_served()
        wait_for(lambda: not hub.source["failing"], 60, f"{hub.name} to follow its manager again")
    told("leader stopped", traffic, f"e1 is {lag * 1000:.0f} ms after a task runs")


def test_partition(fleet: Fleet) -> None:
    """Edges that reach no hub serve what they know, say so, and learn afterwards what has changed.

    It lasts as long as both need to notice and a change needs to happen, not a minute: after that nothing more does.
    """
    with fleet.traffic() as traffic:
        with fleet.cut_off(*EDGES):
            for edge in fleet.edges.values():
                wait_for(lambda edge=edge: not edge.hub, 60, f"{edge.name} to notice")
            before = fleet.edges["e1"].servers("shop")
            fleet.scale(3)
            for edge in fleet.edges.values():
                assert edge.servers("shop") == before
                assert edge.source["failing"]
                assert edge.ready()
        began = time.time()
        fleet.wait_served()
        seconds = [f"{name} {edge.logged('hub_connected') - began:.1f} s" for name, edge in fleet.edges.items()]
        fleet.scale(2)
        fleet.wait_served()
    told("cut off from all hubs", traffic, f"connected again after {', '.join(seconds)}")


def test_weekend_without_any_hub(fleet: Fleet) -> None:
    """An edge that is switched on while there is no hub serves from its disk; its certificate has ended two days ago.

    When hubs are back it renews that by itself, and follows them.
    """
    edge = fleet.edges["e1"]
    wait_for(lambda: fleet.on_disk("e1"), 30, "the facts to be on disk")
    with fleet.traffic("e2") as other:
        for hub in fleet.hubs.values():
            hub.kill()
        edge.off()
        hub_and_edges.expire(edge.state / "edge", read_bundle(fleet.authority), 2 * 24 * 3600.0)
        edge.start()
        edge.wait_ready()
        fleet.wait_served("e1")
        edge.wait_responders(HOST, set(fleet.service.responders()))
        with fleet.traffic("e1") as own:
            own["e1"].wait_for(lambda result: result.ok > 30)
            assert edge.source["failing"]
            for hub in fleet.hubs.values():
                hub.start()
            at_once(Daemon.wait_ready, list(fleet.hubs.values()))
            ready = time.time()
            edge.wait_hub()
            seconds = max(0.0, edge.logged("hub_connected") - ready)
            fleet.scale(3)
            fleet.wait_served()
            fleet.scale(2)
            fleet.wait_served()
    assert " certificate_renewed " in edge.log
    told("no hub", other | own, f"renewed and connected {seconds:.1f} s after all hubs were back")


def test_settings_from_a_hub(fleet: Fleet) -> None:
    """A version that the canary's HAProxy refuses gets no further, and nobody but the fleet's authority can make one.

    The edges follow different hubs, of which one at most is the one that hands out.
    """
    canary, other = fleet.edges.values()
    with fleet.traffic() as traffic:
        with fleet.cut_off(other.name, hub=canary.wait_hub()):
            other.wait_hub(*fleet.hubs.keys() - {canary.hub})
        fleet.hand_out("1")
        wait_for(lambda: fleet.serve("1"), 60, "version 1 at both")
        fleet.until("done")
        before, taken = other.file(), other.log.count(" handed_out_taken ")

        fleet.hand_out("2\nfrontend broken\n  nonsense")
        assert "unknown keyword 'nonsense'" in fleet.until("rolled-back")["rollout"]["reason"]
        fleet.hand_out("3", "targets: {edge: {binary: /bin/false}}")
        wait_for(lambda: "never sets targets" in fleet.rollout()["refused"], 60, "the hub to refuse what is forbidden")
        assert (other.file(), other.log.count(" handed_out_taken ")) == (before, taken)

        # What somebody could send who has got the certificate of a hub, and things that the authority has signed.
        authority = Authority.load(fleet.authority, "m1")
        good = Handout(canary.name, 10_000, Bundle({"discovery": {"drain_grace": "1s"}}, {})).signed(authority.sign)
        for body, why in (
            (good | {"payload": good["payload"].replace("1s", "9s")}, "signed by no authority"),
            (Handout(other.name, 10_000, Bundle({}, {})).signed(authority.sign), "are for edge"),
            (
                Handout(canary.name, 10_000, Bundle({"state": "/tmp"}, {})).signed(authority.sign),
                "a hub never sets state",
            ),
        ):
            request = {"type": HAND, "edge": canary.name, "body": body}
            exchange(fleet.urls[int(canary.hub[1:]) - 1], PEER, request, authority.client_context())
            wait_for(
                lambda why=why: re.search(f" handed_out_refused .*{why}", canary.log), 30, f"a refusal: {why}", 0.05
            )
        assert fleet.serve("1")
    told("settings handed out", traffic)


def test_agent_behind_nat(fleet: Fleet) -> None:
    """What runs on a Docker host that can only dial out is served at both edges, by its address in the VPN."""
    with fleet.agent() as agent, ExitStack() as stack:
        first = fleet.run("web")
        for edge in fleet.edges.values():
            edge.wait_responders(WEB_HOST, {first})
        traffic = {name: stack.enter_context(edge.traffic(WEB_HOST, rate=60)) for name, edge in fleet.edges.items()}
        began, second = time.time(), fleet.run("web")
        for edge in fleet.edges.values():
            edge.wait_responders(WEB_HOST, {first, second})
        (started,) = [each for each in fleet.box.containers() if each["Id"].startswith(second)]
        details = fleet.box.api("GET", f"/containers/{started['Id']}/json")
        lags = [edge.live_at("web", began) - moment(details["State"]["StartedAt"]) for edge in fleet.edges.values()]
        fleet.box.docker("stop", first)
        for edge in fleet.edges.values():
            edge.wait_responders(WEB_HOST, {second})

        agent.kill()
        wait_for(lambda: all(each["failing"] for each in fleet.offers(agent)), 60, "all hubs to notice")
        for edge in fleet.edges.values():
            edge.wait_responders(WEB_HOST, {second})
    # It is revoked by now.
    for edge in fleet.edges.values():
        wait_for(lambda edge=edge: edge.get(WEB_HOST).status >= 400, 60, f"{edge.name} to know nothing of it")
    told("agent", traffic, f"live {', '.join(f'{each * 1000:.0f} ms' for each in lags)} after its engine's start")


def test_agent_that_lies(fleet: Fleet) -> None:
    """Hubs refuse facts that go beyond an agent's host, and keep its last ones; its token fixes its name and address.

    Somebody who has the agent's key speaks in its place. Another agent is followed meanwhile.
    """
    n3 = fleet.lab.nodes["n3"]
    wait_for(lambda: fleet.on_disk("e1"), 30, "the facts to be on disk")
    swarm = load(fleet.edges["e1"].state / "edge" / "facts.json")
    with fleet.agent() as agent, fleet.agent(n3) as other, fleet.traffic() as traffic:
        known = {"web.box": fleet.published(fleet.run("web"))}
        for edge in fleet.edges.values():
            edge.wait_servers("web", known)
        truth = HostsSource([Host("box", f"unix://{fleet.box.socket}", fleet.address(fleet.box))]).take()
        agent.stop()
        for why, lie in beyond_its_host(truth, swarm):
            with fleet.saying(agent, lie):
                for hub in fleet.hubs.values():
                    wait_for(lambda hub=hub, why=why: why in hub.log, 60, f"{hub.name} to refuse: {why}", 0.05)
                    assert re.search(rf" error offer_refused .*agent=box .*error='?{why}.*stay as they were", hub.log)
        wait_for(lambda: all(each["failing"] for each in fleet.offers(agent)), 60, "all to hang up", 0.05)
        api = fleet.run("api", n3)
        for edge in fleet.edges.values():
            edge.wait_responders("api.test", {api})
            assert edge.servers("web") == known
        with fleet.saying(agent, in_place_of(swarm, truth)):
            for edge in fleet.edges.values():
                wait_for(lambda edge=edge: len(edge.servers("web")) == 2, 60, f"{edge.name} to hear of it", 0.05)
                assert edge.api("explain/box_shop")
                box = fleet.address(fleet.box)
                assert all(rest.startswith(f"{box}:") for rest in edge.servers("web").values()), edge.servers("web")
        fleet.wait_served()
        assert [bool(each["failing"]) for each in fleet.offers(other)] == [False] * len(fleet.hubs)
    told("agent that lies", traffic)
    apps = set(fleet.service.responders())
    assert all(set(each.result.responders) == apps for each in traffic.values())


@pytest.mark.parametrize("who", ["nobody", "another fleet's"])
def test_stranger(fleet: Fleet, tmp_path: Path, who: str) -> None:
    """Who has no certificate, or another fleet's, gets a hub's certificate, which names it, and not one byte more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if who != "nobody":
        context = hub_and_edges.Fleet(tmp_path).identity("e1").client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, node in zip(fleet.hubs, fleet.lab.nodes.values(), strict=True):
        for path in ("/v1/edge", "/v1/peer", "/api/v1/status", "/"):
            shown, said = heard(node.address, path, context)
            assert holder_of(certificate_in(shown)) == Holder("hub", name)
            assert said == b""


def heard(address: str, path: str, context: ssl.SSLContext) -> tuple[bytes, bytes]:
    """The certificate that a hub shows, and everything that it says to a request for a path."""
    said = b""
    with probe.connect(address, HUB) as plain, context.wrap_socket(plain) as tls:
        shown = tls.getpeercert(binary_form=True) or b""
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        with contextlib.suppress(OSError):  # it hangs up: with an alert, as a client is judged after its handshake
            tls.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n{key}\r\n\r\n".encode())
            while more := tls.recv(1000):
                said += more
    return shown, said


def test_token_is_used_twice(fleet: Fleet, tmp_path: Path) -> None:
    """A token is good once: another hub refuses it afterwards, and of two edges at the same time one joins at most."""
    token = fleet.token("e3")
    assert join(exchange, fleet.urls[0], token, tmp_path / "first").name == "e3"
    with pytest.raises(Refused) as refused:
        join(exchange, fleet.urls[1], token, tmp_path / "second")
    assert refused.value.code == "used"

    token = fleet.token("e4")

    def tried(url: str) -> str:
        try:
            return join(exchange, url, token, tmp_path / f"edge-{fleet.urls.index(url)}").name
        except Refused as error:
            return error.code

    both = at_once(tried, fleet.urls[:2])
    assert both.count("e4") <= 1
    assert set(both) <= {"e4", "used", "peer"}


def test_revoked(fleet: Fleet) -> None:
    """A revocation ends an edge's connection to another hub at once; it serves what it knows, and says what it is."""
    edge = fleet.edges["e1"]
    other = next(hub for name, hub in fleet.hubs.items() if name != edge.wait_hub())
    with fleet.traffic() as traffic:
        known = edge.servers("shop")
        printed("hub", "revoke", "e1", "--state", str(other.state / "hub"))
        wait_for(lambda: not edge.hub, 30, "e1 to be let go", 0.01)
        seconds = edge.logged("hub_lost") - other.logged("hub_edge_revoked")
        fleet.scale(3)
        fleet.wait_served("e2")
        assert edge.servers("shop") == known
        wait_for(
            lambda: all("e1 is revoked" in each["failing"] for each in edge.source["members"]), 60, "all to say so"
        )
        for hub in fleet.hubs.values():
            (said,) = [each for each in hub.api("status")["edges"] if each["name"] == "e1"]
            assert (said["revoked"], said["connected"]) == (True, False)
        began = time.time()
        fleet.join("e1", "--again")
        fleet.wait_served()
        back = edge.logged("hub_connected") - began
        fleet.scale(2)
        fleet.wait_served()
    told(
        "revoked",
        traffic,
        f"let go {seconds:.3f} s after another hub has revoked it, back {back:.1f} s after joining anew",
    )
