"""`lbgen.source.swarmkit.grpc` against grpcio's own server, and against one that does what that never would.

The second is h2 on Python's TLS, which chooses no protocol in the handshake: as managers whose certificate was renewed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import PingAckReceived, RequestReceived, StreamEnded

from lbgen.base.errors import SourceError
from lbgen.source.swarmkit.grpc import StreamCall
from tests.support.tls import Authority
from tests.support.wait import PATIENCE, wait_for

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc

METHOD = "/some.Service/Method"
OK = [(":status", "200"), ("content-type", "application/grpc")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("swarm-manager")


def call(path, authority, timeout=PATIENCE, name="swarm-manager"):
    """A call to the socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    connection.connect(str(path))
    return StreamCall(connection, authority.ca.read_text(), name)


def framed(*messages):
    return b"".join(struct.pack(">BI", 0, len(message)) + message for message in messages)


# -- grpcio's server -----------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path, certificate):
    """A function that serves a method with grpcio and returns the socket's path."""
    servers = []

    def serve(answer):
        path = tmp_path / "grpc.sock"
        server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_stream_rpc_method_handler(answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("some.Service", {"Method": handler}),))
        pair = (certificate[1].read_bytes(), certificate[0].read_bytes())
        server.add_secure_port(f"unix://{path}", grpc.ssl_server_credentials([pair]))
        server.start()
        servers.append(server)
        return path

    yield serve
    for server in servers:
        server.stop(0).wait()


def test_messages(served, authority):
    """Small, empty and large ones, as they were sent, after the request as it was."""
    large = os.urandom(3_000_000)  # many frames, and more than the window

    def answer(request, _):
        yield from (request, b"", large, b"end")

    assert list(call(served(answer), authority).messages(METHOD, b"hello")) == [b"hello", b"", large, b"end"]


def test_many_messages(served, authority):
    """Several in one frame."""
    path = served(lambda *_: (str(number).encode() for number in range(5000)))
    assert list(call(path, authority).messages(METHOD, b"")) == [str(number).encode() for number in range(5000)]


def test_error_from_the_server(served, authority):
    """Its code and its words, as they were meant."""

    def answer(_, context):
        yield b"one"
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no 100 % majority, ☹")

    messages = call(served(answer), authority).messages(METHOD, b"")
    assert next(messages) == b"one"
    with pytest.raises(SourceError, match=r"^failed precondition: no 100 % majority, ☹$"):
        next(messages)


def test_method_that_is_not_there(served, authority):
    """An answer that is nothing but an end."""
    path = served(lambda *_: iter(()))
    with pytest.raises(SourceError, match=r"^unimplemented: "):
        list(call(path, authority).messages("/some.Service/Other", b""))


def test_server_that_stops(served, authority):
    """In the middle of the stream."""
    going = threading.Event()

    def answer(*_):
        yield b"one"
        going.wait(PATIENCE)

    messages = call(served(answer), authority).messages(METHOD, b"")
    assert next(messages) == b"one"
    threading.Timer(0.05, going.set).start()
    assert list(messages) == []


@pytest.mark.parametrize("name", ["swarm-manager", "swarm-worker"])
def test_name_and_root_are_checked(served, authority, tmp_path, name):
    """Another authority's certificate, or one for somebody else."""
    path = served(lambda *_: iter([b"secret"]))
    trusted = authority if name == "swarm-worker" else Authority(tmp_path / "other")
    with pytest.raises(SourceError, match=r"^TLS: its certificate is not trusted \(") as raised:
        list(call(path, trusted, name=name).messages(METHOD, b""))
    assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)


def test_root_that_is_none():
    """What `GET /swarm` told is no certificate."""
    connection = socket.socket(socket.AF_UNIX)
    with connection, pytest.raises(SourceError, match="the root to trust is not a certificate"):
        StreamCall(connection, "hello", "swarm-manager")


# -- a server that does anything -----------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, certificate):
    """A function that has connections handled by another, given the h2 connection and the TLS socket; no ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "h2.sock"))
    listener.listen()

    def serve(handle):
        def run():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with context.wrap_socket(client, server_side=True) as tls:
                    assert tls.selected_alpn_protocol() is None
                    connection = H2Connection(H2Configuration(client_side=False))
                    connection.initiate_connection()
                    tls.sendall(connection.data_to_send())
                    handle(connection, tls)

        threading.Thread(target=run, daemon=True).start()
        return tmp_path / "h2.sock"

    yield serve
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def events_until(connection, tls, kind):
    """Read until there is such an event; return all."""
    found = []
    while not any(isinstance(event, kind) for event in found):
        found += connection.receive_data(tls.recv(65536))
        tls.sendall(connection.data_to_send())
    return found


def answering(*actions):
    """A handler that waits for the request, then sends what each action makes, one write each."""

    def handle(connection, tls):
        events_until(connection, tls, StreamEnded)
        for action in actions:
            action(connection)
            tls.sendall(connection.data_to_send())
        with contextlib.suppress(OSError):
            while tls.recv(65536):
                pass

    return handle


def headers(*more, end=False):
    return lambda connection: connection.send_headers(1, [*OK, *more], end_stream=end)


def data(content):
    return lambda connection: connection.send_data(1, content)


def trailers(*found):
    return lambda connection: connection.send_headers(1, list(found), end_stream=True)


def test_request(server, authority):
    """As the protocol wants it: one prefixed message, and nothing after it."""
    seen = []

    def handle(connection, tls):
        seen.extend(events_until(connection, tls, StreamEnded))
        connection.send_headers(1, [*OK, ("grpc-status", "0")], end_stream=True)
        tls.sendall(connection.data_to_send())

    assert list(call(server(handle), authority).messages(METHOD, b"hello")) == []
    request = next(event for event in seen if isinstance(event, RequestReceived))
    assert {(b":method", b"POST"), (b":path", METHOD.encode()), (b"te", b"trailers")} <= set(request.headers)
    assert (b"content-type", b"application/grpc") in request.headers
    assert framed(b"hello") in [getattr(event, "data", None) for event in seen]


def test_message_in_pieces(server, authority):
    """Byte by byte, and the end of one with the beginning of the next."""
    content = framed(b"hello", b"", b"world")
    pieces = [data(content[i : i + 1]) for i in range(12)] + [data(content[12:])]
    path = server(answering(headers(), *pieces, trailers(("grpc-status", "0"))))
    assert list(call(path, authority).messages(METHOD, b"")) == [b"hello", b"", b"world"]


@pytest.mark.parametrize(
    ("actions", "error"),
    [
        ([headers(("grpc-status", "12"), ("grpc-message", "none%20such"), end=True)], "unimplemented: none such"),
        ([headers(), trailers(("grpc-status", "99"))], "gRPC status 99: "),
        ([lambda c: c.send_headers(1, [(":status", "404")], end_stream=True)], "this is not gRPC: HTTP status 404"),
        ([headers(), data(b"\x01\x00\x00\x00\x01x")], "a message of 1 bytes, compressed: True: not to be read"),
        ([headers(), data(b"\x00\x7f\xff\xff\xff")], "a message of 2147483647 bytes, compressed: False"),
        ([headers(), lambda c: c.reset_stream(1, 8)], "the server broke it off"),
        ([headers(), data(framed(b"x")[:-1]), trailers(("grpc-status", "14"))], "unavailable: "),
    ],
)
def test_answers_that_are_wrong(server, authority, actions, error):
    """Each is said to be what it is."""
    with pytest.raises(SourceError) as raised:
        list(call(server(answering(*actions)), authority).messages(METHOD, b""))
    assert str(raised.value).startswith(error)


def test_pings_are_answered(server, authority):
    """Else a server would take us for dead."""
    answered = []

    def handle(connection, tls):
        events_until(connection, tls, StreamEnded)
        connection.ping(b"12345678")
        connection.send_headers(1, OK)
        tls.sendall(connection.data_to_send())
        answered.extend(events_until(connection, tls, PingAckReceived))
        connection.send_headers(1, [("grpc-status", "0")], end_stream=True)
        tls.sendall(connection.data_to_send())

    assert list(call(server(handle), authority).messages(METHOD, b"")) == []
    assert answered


def test_no_http2(server, authority):
    """Something else behind TLS."""
    path = server(lambda _, tls: tls.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10))
    with pytest.raises(SourceError, match=r"this is not HTTP/2|the server hung up|the connection broke"):
        list(call(path, authority).messages(METHOD, b""))


def test_server_that_hangs_up(server, authority):
    """Without a word."""
    path = server(lambda connection, tls: events_until(connection, tls, StreamEnded))
    with pytest.raises(SourceError, match=r"the server hung up|the connection broke"):
        list(call(path, authority).messages(METHOD, b""))


def test_server_that_is_silent(server, authority):
    """The time-out holds until the first message; then silence is normal."""
    path = server(answering(headers()))
    with pytest.raises(SourceError, match=r"no answer for 0\.2 s"):
        list(call(path, authority, timeout=0.2).messages(METHOD, b""))


def test_server_that_falls_silent(server, authority):
    """That is how a quiet cluster sounds; `end` from another thread ends it."""
    path = server(answering(headers(), data(framed(b""))))
    made = call(path, authority, timeout=2.0)
    messages = made.messages(METHOD, b"")
    assert next(messages) == b""
    outcome = []

    def read():
        try:
            outcome.append(list(messages))
        except SourceError as error:
            outcome.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(2.5)
    assert reader.is_alive()
    made.end()
    reader.join(PATIENCE)
    wait_for(lambda: outcome)
    made.end()  # once more does no harm


def test_end_before_the_beginning(server, authority):
    """A call that is given up at once sends nothing."""
    path = server(answering(headers(), data(framed(b"x"))))
    made = call(path, authority)
    made.end()
    with pytest.raises(SourceError):
        list(made.messages(METHOD, b""))
