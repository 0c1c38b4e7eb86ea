"""What one service's labels cost the requests for another's host, in processor time of real proxies."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lbgen.model import build
from lbgen.proxies.traefik.apply import STATIC
from lbgen.snapshot import Snapshot
from tests.support import costly, processor, real_haproxy, real_nginx, real_traefik
from tests.support.builders import a_listener, a_network, a_node, a_renderer, a_rules, a_service, a_snapshot
from tests.support.clients import raw
from tests.support.ports import free_port

MOST = 0.001  # seconds of processor time of a request to another host, more than without the service
MOST_OF_ITS_OWN = 0.25  # of any request at all
REQUESTS = 300
FIRST = "1000000"  # the priority with which all rules are asked before the innocent host's own place counts
INNOCENT = ("innocent", {"lbgen.host": "innocent.org", "lbgen.priority": "1"})


def cluster(*services: tuple[str, Mapping[str, str]]) -> Snapshot:
    """The facts of these services, the oldest first; proxies answer for them themselves."""
    made = [
        a_service(
            name,
            labels={"lbgen.enable": "true", "lbgen.redirect": "https://x.org", "lbgen.priority": FIRST, **labels},
            networks=("edge-id",),
            created_at=f"2026-11-22T10:00:{index:02}Z",
        )
        for index, (name, labels) in enumerate(services)
    ]
    return a_snapshot(a_node(), a_network(), *made)


@dataclass
class Trial:
    """A proxy that is started anew for each cluster."""

    directory: Path
    start: Callable[[Snapshot, Path, int], tuple[int, Callable[[], None]]]
    baseline: float = 0.0
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    def measure(self, snapshot: Snapshot, *requests: bytes, number: int = REQUESTS) -> list[float]:
        """Return the processor time of each of these requests."""
        directory, port = self.directory / str(next(self.numbers)), free_port()
        directory.mkdir()
        pid, stop = self.start(snapshot, directory, port)
        try:
            times = []
            for request in requests:
                processor.per_request(pid, port, request, 3)  # what is done once
                # The least of three: what a proxy does by itself meanwhile is none of the requests' cost.
                batches = [processor.per_request(pid, port, request, number // 3) for _ in range(3)]
                assert all(status.startswith(b"HTTP/1.1 ") for _, status in batches), batches
                times.append(min(took for took, _ in batches))
            processor.per_request(pid, port, HONEST, 1)  # it lives
            return times
        finally:
            stop()


def listeners(port: int):
    return [a_listener(port=port, address="127.0.0.1")]


def haproxy(snapshot: Snapshot, directory: Path, port: int):
    """HAProxy on one cluster."""
    files = a_renderer(output=directory).render(build(snapshot, a_rules(*listeners(port))), snapshot)
    real_nginx.write(files, directory)
    process = real_haproxy.Process(directory)
    return process.pid, process.stop


def nginx(snapshot: Snapshot, directory: Path, port: int):
    """Nginx on one cluster."""
    program = real_nginx.binary("own")
    made = real_nginx.renderer(real_nginx.target(program, directory))
    real_nginx.write(made.render(build(snapshot, a_rules(*listeners(port))), snapshot), directory)
    process = real_nginx.Process(program, directory)
    return process.pid, process.stop


def traefik(snapshot: Snapshot, directory: Path, port: int):
    """Traefik on one cluster."""
    api = free_port()
    made = real_traefik.renderer(directory, probe=f"127.0.0.1:{api}", throttle="1ms")
    files = made.render(build(snapshot, a_rules(*listeners(port))), snapshot)
    real_traefik.write(files, directory)
    process = real_traefik.Process(directory / STATIC, api)
    process.serves(files.generation)
    return process.pid, process.stop


STARTS = {"haproxy": haproxy, "nginx": nginx, "traefik": traefik}
HONEST = (
    b"GET /some/path/of/its/own?p=1&q=2 HTTP/1.1\r\nHost: innocent.org\r\nUser-Agent: test\r\n"
    b"Cookie: session=abcdefghijklmnop; a=b\r\nX-A: its-own\r\nX-B: its-own\r\n\r\n"
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.proxy(name), pytest.mark.timeout(900)]) for name in STARTS],
)
def trial(request) -> Iterator[Trial]:
    """A proxy, and what an innocent request costs it where nobody else is."""
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as directory:  # short: there are sockets in it
        made = Trial(Path(directory), STARTS[request.param])
        made.baseline = made.measure(cluster(INNOCENT), HONEST)[0]
        yield made


@pytest.mark.parametrize("kind", costly.WORST)
def test_the_worst_that_is_known(trial, kind):
    """Labels that are a burden to the proxy cost another host's request less than a millisecond."""
    (took,) = trial.measure(cluster(INNOCENT, ("evil", costly.WORST[kind])), HONEST)
    print(f"cost {kind}: {(took - trial.baseline) * 1e6:.0f} us over {trial.baseline * 1e6:.0f} us")
    assert took - trial.baseline < MOST


def crowd(number: int, **labels: str) -> list[tuple[str, dict[str, str]]]:
    """So many services with labels of their own each: ``S`` is the service's number."""
    return [
        (f"s{index}", {f"lbgen.{key}": value.replace("S", str(index)) for key, value in labels.items()})
        for index in range(number)
    ]


CROWDS = {
    "rules": crowd(8, **{"header.x-a": costly.values(128), "host": "hS.org"}),
    "rules without a host": crowd(4, **{"header.x-a": costly.values(128, "v{}-S")}),
    "both": crowd(4, **{"header.x-a": costly.values(128), "host": "hS.org"})
    + crowd(4, **{"header.x-b": costly.values(128, "v{}-S")}),
    "expressions": crowd(10, **{"path-regex": costly.values(10, "^/a*a*{}-S")}),
}


@pytest.mark.parametrize("kind", CROWDS)
def test_all_that_a_listener_has_room_for(trial, kind):
    """Nor do all services together that a listener has room for."""
    services = [(f"{kind[:4].strip()}{index}", labels) for index, (_, labels) in enumerate(CROWDS[kind])]
    (took,) = trial.measure(cluster(INNOCENT, *services), HONEST)
    print(f"cost {kind}: {(took - trial.baseline) * 1e6:.0f} us over {trial.baseline * 1e6:.0f} us")
    assert took - trial.baseline < MOST


@pytest.mark.parametrize("seed", range(4))
def test_a_search_for_worse(trial, seed):
    """Nor do labels that a search finds: of random ones the worst is changed, as long as that makes it worse."""
    chance = random.Random(seed)
    worst, labels = 0.0, costly.random_labels(chance)
    for _ in range(4):
        (took,) = trial.measure(cluster(INNOCENT, ("evil", labels)), HONEST, number=150)
        worst = max(worst, took - trial.baseline)
        assert worst < MOST, labels
        labels = (
            labels | costly.random_labels(chance) if took - trial.baseline == worst else costly.random_labels(chance)
        )
    print(f"cost search {seed}: {worst * 1e6:.0f} us over {trial.baseline * 1e6:.0f} us")


def hostile_requests(host: str) -> dict[str, bytes]:
    """Requests that take a proxy as long as requests can."""
    rest = f" HTTP/1.1\r\nHost: {host}\r\n".encode()
    long_path = b"GET /" + b"a" * 7500 + rest
    longer = b"GET /" + b"a" * 14000 + rest
    cookies = b"".join(b"Cookie: " + b"a" * 1000 + b"\r\n" for _ in range(7))
    return {
        "path of 1,000": b"GET /" + b"a" * 1000 + rest + b"\r\n",
        "path of 7,500": long_path + b"\r\n",
        "path of 14,000": longer + b"\r\n",
        "cookies": b"GET /" + rest + cookies + b"\r\n",
        "one cookie": b"GET /" + rest + b"Cookie: " + b"a" * 7500 + b"\r\n\r\n",
    }


@pytest.mark.parametrize("host", ["evil.test", ""])
def test_requests_that_are_meant_to_freeze(trial, host):
    """No request, to the host of an evil service or to one without, keeps the proxy busy for long."""
    own = {"lbgen.host": host} if host else {}
    labels = [
        {"lbgen.path-regex": costly.values(10, "^/a*a*[bc{}]"), "lbgen.method": "GET,POST", **own},
        {"lbgen.path-regex": costly.values(10, "a*[bc{}]"), "lbgen.method": "GET,POST", **own},
        {"lbgen.header-regex.cookie": costly.values(10, "a*[bc{}]"), "lbgen.method": "GET,POST", **own},
        {"lbgen.header-regex.cookie": costly.values(10, "(|a)(|a)(|a)a*[bc{}]"), "lbgen.method": "GET,POST", **own},
    ]
    requests = hostile_requests(host or "innocent.org")
    for index, each in enumerate(labels):
        times = trial.measure(cluster(INNOCENT, ("evil", each)), *requests.values(), number=3)
        for name, took in zip(requests, times, strict=True):
            print(f"cost {index} {name}: {took * 1e3:.1f} ms")
        assert max(times) < MOST_OF_ITS_OWN


EXPRESSION = r"[a-z]+\.php$"
GUARDED, OPEN = {"redirect": "https://guarded.org"}, {"redirect": "https://open.org", "host": "evil.test"}
BY_PATH = {"host": "evil.test", "path-regex": EXPRESSION}
BY_HEADER = {"host": "evil.test", "header-regex.x-a": EXPRESSION}
BY_RULE = {"rule": f"Host(`evil.test`) && Method(`GET`) && !PathRegexp(`{EXPRESSION}`)"}


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name)) for name in ("haproxy", "nginx")])
@pytest.mark.parametrize(
    ("keys", "path", "header", "expected"),
    [
        (BY_PATH, "/short.php", "", "guarded.org"),
        (BY_PATH, "/short.txt", "", "open.org"),
        (BY_PATH, f"/{'1' * 1019}.php", "", "open.org"),  # 1,024 characters
        (BY_PATH, f"/{'a' * 1020}.php", "", "414"),
        (BY_PATH, f"/{'a' * 2000}.txt", "", "414"),
        (BY_PATH | {"method": "PUT"}, f"/{'a' * 2000}.php", "", "open.org"),  # it is not asked
        (BY_PATH | {"path-regex": r"\.php$"}, f"/{'a' * 5000}.php", "", "guarded.org"),  # any length will do
        (BY_PATH | {"path-regex": f"{EXPRESSION},^/x"}, f"/{'a' * 2000}.php", "", "414"),
        (BY_RULE, "/short.php", "", "open.org"),
        (BY_RULE, "/short.txt", "", "guarded.org"),
        (BY_RULE, f"/{'a' * 2000}.php", "", "414"),
        (BY_HEADER, "/", "short.php", "guarded.org"),
        (BY_HEADER, "/", "a" * 2000 + ".php", "414|431"),
        (BY_HEADER, "/", "", "open.org"),
    ],
)
def test_what_is_too_long_for_an_expression(proxy, short_dir, keys, path, header, expected):
    """A request that brings more than an expression is asked about is refused: it never takes a broader route."""
    labels = {f"lbgen.http.guarded.{key}": value for key, value in {**keys, **GUARDED}.items()}
    labels |= {f"lbgen.http.open.{key}": value for key, value in OPEN.items()}
    port = free_port()
    service = a_service("evil", labels={"lbgen.enable": "true", **labels}, networks=("edge-id",))
    _, stop = STARTS[proxy](a_snapshot(a_node(), a_network(), service), short_dir, port)
    try:
        fields = f"X-A: {header}\r\n" if header else ""
        answer = raw(port, f"GET {path} HTTP/1.1\r\nHost: evil.test\r\n{fields}Connection: close\r\n\r\n")
    finally:
        stop()
    assert re.search(rf"HTTP/1.1 ({expected}) |ocation: https://({expected})", answer.decode()), answer
