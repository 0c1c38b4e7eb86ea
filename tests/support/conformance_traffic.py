"""The traffic of tests/conformance: servers for a proxy to talk to, and the questions of a file, asked."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.certificates import certificate
from tests.support.clients import anybody
from tests.support.conformance_suite import Case, Suite, shares
from tests.support.real_servers import http_servers, tcp_servers
from tests.support.real_udp import udp_servers
from tests.support.wait import PATIENCE, wait_for

REFUSED = "refused"
_NEAR = 3  # so many questions more or fewer than a server's share: a turn of the servers need not end with the last one
_TIMES = 8  # that a question is asked to which there are several answers


@contextlib.contextmanager
def servers(suite: Suite, directory: Path) -> Iterator[dict[str, int]]:
    """Run servers on all addresses, of each kind that the file's listeners may need; give their ports by kind."""
    with contextlib.ExitStack() as stack:
        ports = {"http": stack.enter_context(http_servers()).port}
        if "tcp" in suite.listeners.values():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(directory / "server.pem", "any.example.org"))
            ports["tcp"] = stack.enter_context(tcp_servers()).port
            ports["tls"] = stack.enter_context(tcp_servers(context)).port
        if "udp" in suite.listeners.values():
            ports["udp"] = stack.enter_context(udp_servers()).port
        yield ports


def differing(suite: Suite, who: str, listeners: Mapping[str, int]) -> list[str]:
    """Ask all questions; return those that were not answered as the file says of this one."""
    found = [(case, decided(case, suite, listeners, who)) for case in suite.cases]
    return [f"{case.line}: {answer}" for case, answer in found if answer != case.expected(who)]


def decided(case: Case, suite: Suite, ports: Mapping[str, int], who: str) -> str:
    """Ask, and say in the words of a case what comes back.

    Args:
        ports: of the listeners, by name.
    """
    port, wanted = ports[case.listener], shares(case.expected(who))
    if wanted:
        return _counted(case, suite, port, wanted)
    if " gets " in case.expected(who):
        _, _, address, path = _request(case, port)
        return f"{suite.answering(address) if address else REFUSED} gets {path}"
    times = _TIMES if " or " in case.expected(who) else 1
    answers = {_with_names(_asked(case, port), ports) for _ in range(times)}
    return " or ".join(sorted({answer if _none(answer) else suite.answering(answer) for answer in answers}))


def _with_names(answer: str, ports: Mapping[str, int]) -> str:
    """Write listeners' names in place of their ports."""
    for name, port in ports.items():
        answer = answer.replace(f":{port}/", f":<{name}>/")
    return answer


def _counted(case: Case, suite: Suite, port: int, wanted: Mapping[str, int]) -> str:
    """Ask as often as all shares are together: the shares themselves if every server gave its part, else the counts."""
    counts = Counter(_asked(case, port) for _ in range(sum(wanted.values())))
    parts = {address: share for name, share in wanted.items() for address in suite.addresses(name)}
    expected = {address: parts[address] / len(suite.addresses(suite.answering(address))) for address in parts}
    if all(abs(counts[address] - expected.get(address, 0)) <= _NEAR for address in {*counts, *expected}):
        return " + ".join(f"{share} {name}" for name, share in wanted.items())
    return " + ".join(
        f"{counts[where]} {where if _none(where) else suite.answering(where)}" for where in sorted(counts)
    )


def _asked(case: Case, port: int) -> str:
    """Ask: the address of the server that answers, a status and where it leads, or "refused"."""
    if case.how in ("TLS", "TCP"):
        address = stream(port, case.path if case.how == "TLS" else None, case.source)
    elif case.how == "UDP":
        address = _datagram(port)
    else:
        status, location, address, _ = _request(case, port)
        if not address:
            return f"{status} {location}".strip()
    return address or REFUSED


def received(case: Case, suite: Suite, port: int) -> tuple[str, str]:
    """Ask over HTTP: the service that answers and the path that it got, or a status and nothing."""
    status, _, address, path = _request(case, port)
    return (suite.answering(address), path) if address else (str(status), "")


def _none(answer: str) -> bool:
    """Tell whether no server answered."""
    return not answer.startswith("127.")


def _request(case: Case, port: int) -> tuple[int, str, str, str]:
    """Ask over HTTP: the status, where it leads, the address of the server that answered, and the path it got."""
    source = (case.source, 0) if case.source else None
    if case.listener.startswith("secure"):
        name = case.host.partition(":")[0]
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE, source)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = anybody().wrap_socket(plain, server_hostname=name)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=source)
    connection.putrequest(case.how, case.path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", case.host)
    for name, value in case.headers:
        connection.putheader(name, value)
    if case.how in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    with contextlib.closing(connection), connection.getresponse() as response:
        text = response.read()
        said = json.loads(text) if response.status == 200 and text.startswith(b"{") else {}
        return response.status, response.headers.get("Location", ""), said.get("address", ""), said.get("path", "")


def stream(port: int, name: str | None, source: str = "") -> str:
    """Say a line over TCP; return the address that answers, empty if no server does.

    Args:
        name: that a TLS client asks for; empty: it asks for none; None: no TLS.
        source: the client's address; empty: any.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0) if source else None) as plain:
            connection = plain if name is None else anybody().wrap_socket(plain, server_hostname=name or None)
            connection.sendall(b"hello\n")
            said = connection.makefile("r").readline().strip()
    except (ConnectionError, ssl.SSLError):
        return ""
    try:
        return str(ipaddress.ip_address(said))
    except ValueError:  # the proxy's own words
        return ""


def _datagram(port: int) -> str:
    """Send datagrams until one is answered; return the address that answers, empty if the port is nobody's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        probe.connect(("127.0.0.1", port))

        def asked() -> str | None:
            try:
                probe.send(b"hello")
                return probe.recv(1024).decode()
            except TimeoutError:  # lost, or nobody got round to it
                return None
            except ConnectionRefusedError:
                return REFUSED

        answer = wait_for(asked, "a datagram")
    return "" if answer == REFUSED else answer
