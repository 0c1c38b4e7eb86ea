"""One gRPC call that is answered by a stream of messages, over TLS on a unix socket.

As much of gRPC as reading takes, on h2's HTTP/2: one connection for one call, one thread, and nothing that wakes up
while nothing arrives. The grpcio package cannot be used here. It refuses servers that choose no protocol in the TLS
handshake (ALPN), and managers stop to do so once their certificate has been renewed, by itself or by ``docker swarm ca
--rotate`` (seen, engine 20.10; mended in moby/swarmkit #3189, 2025); and it wakes up several times a second.
Source: grpc/grpc, doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Generator, Iterator
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import H2Error

from lbgen.base.errors import SourceError

_LARGEST = 64 * 1024 * 1024  # bytes of a message; dockerd allows itself as much for a listing
_PREFIX = struct.Struct(">BI")  # compressed or not, length
_STATUS = {"2": "unknown", "3": "invalid argument", "7": "permission denied", "8": "resource exhausted"}
_STATUS |= {"9": "failed precondition", "12": "unimplemented", "13": "internal", "14": "unavailable"}


class StreamCall:
    """A call, made once; read in one thread and ended from any."""

    def __init__(self, connection: socket.socket, root: str, name: str) -> None:
        """Send nothing yet.

        Args:
            connection: connected; its time-out holds until the first message, after it silence is normal.
            root: PEM certificates to trust.
            name: that the server's certificate must have.
        Raises:
            SourceError: the root is not a certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=root)
        except (ssl.SSLError, ValueError, TypeError) as error:  # the latter two: it is empty, or not ASCII
            why = getattr(error, "reason", error)
            raise SourceError(f"TLS: the root to trust is not a certificate ({why})") from error
        context.set_alpn_protocols(["h2"])  # newer managers insist on it
        self._name = name
        self._socket = context.wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)

    def messages(self, method: str, request: bytes) -> Generator[bytes, None, None]:
        """Call, and yield each message as it arrives; return when the server ends the stream as it should.

        Args:
            method: ``/package.Service/Method``.
        Raises:
            SourceError: anything else happened.
        """
        try:
            yield from self._messages(method, request)
        except ssl.SSLCertVerificationError as error:
            raise SourceError(f"TLS: its certificate is not trusted ({error.verify_message})") from error
        except ssl.SSLEOFError as error:
            raise SourceError("the server hung up") from error
        except ssl.SSLError as error:
            raise SourceError(f"TLS: {error.reason or error}") from error
        except TimeoutError as error:
            raise SourceError(f"no answer for {self._socket.gettimeout():g} s") from error
        except OSError as error:
            raise SourceError(f"the connection broke: {error.strerror or error}") from error
        except H2Error as error:
            raise SourceError(f"this is not HTTP/2: {error}") from error
        finally:
            self._socket.close()

    def end(self) -> None:
        """Make `messages` end soon, also while it waits."""
        with contextlib.suppress(OSError):
            # Not that of SSLSocket, which would take its TLS away from under the reader.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _messages(self, method: str, request: bytes) -> Iterator[bytes]:
        self._socket.do_handshake()
        connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        connection.initiate_connection()
        connection.send_headers(1, _headers(method, self._name))
        connection.send_data(1, _PREFIX.pack(0, len(request)) + request, end_stream=True)
        self._socket.sendall(connection.data_to_send())
        answer = _Answer()
        while not answer.ended:
            data = self._socket.recv(65536)
            if not data:
                raise SourceError("the server hung up")
            for event in connection.receive_data(data):
                answer.take(event)
                if isinstance(event, DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, 1)
            for message in answer.messages():
                self._socket.settimeout(None)
                yield message
            if reply := connection.data_to_send():  # pings are answered, windows opened
                with contextlib.suppress(OSError):  # a server that is gone may have said why
                    self._socket.sendall(reply)
        answer.check()


class _Answer:
    """What has arrived so far."""

    def __init__(self) -> None:
        self.ended = False
        self._data = bytearray()
        self._headers: dict[str, str] = {}

    def take(self, event: Event) -> None:
        match event:
            case DataReceived():
                self._data += event.data
            case ResponseReceived() | TrailersReceived():
                self._headers |= {str(name): str(value) for name, value in event.headers}
            case StreamEnded():
                self.ended = True
            case StreamReset():
                raise SourceError(f"the server broke it off (HTTP/2 error {event.error_code})")

    def messages(self) -> Iterator[bytes]:
        """Yield what is complete."""
        while len(self._data) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(self._data)
            if compressed or length > _LARGEST:
                raise SourceError(f"a message of {length} bytes, compressed: {bool(compressed)}: not to be read")
            end = _PREFIX.size + length
            if len(self._data) < end:
                return
            message = bytes(self._data[_PREFIX.size : end])
            del self._data[:end]
            yield message

    def check(self) -> None:
        """Raise SourceError unless the server says that all is well."""
        status = self._headers.get("grpc-status")
        if status is None:
            raise SourceError(f"this is not gRPC: HTTP status {self._headers.get(':status')}")
        if status != "0":
            said = unquote(self._headers.get("grpc-message", ""))
            raise SourceError(f"{_STATUS.get(status, f'gRPC status {status}')}: {said}")


def _headers(method: str, name: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", method),
        (":authority", name),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "lbgen"),
    ]
