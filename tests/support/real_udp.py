"""UDP servers for a proxy to talk to: every address in 127.0.0.0/8 is one of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

IP_PKTINFO = 8  # of Linux; `socket` has no name for it before Python 3.14


@dataclass
class UdpServers:
    """They answer each datagram with their own address."""

    port: int


@contextlib.contextmanager
def udp_servers() -> Iterator[UdpServers]:
    """Run them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)  # tells which address a datagram was sent to
        listening.settimeout(0.05)
        listening.bind(("0.0.0.0", 0))
        ended = threading.Event()
        thread = threading.Thread(target=_answer, args=[listening, ended], daemon=True)
        thread.start()
        try:
            yield UdpServers(listening.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def _answer(listening: socket.socket, ended: threading.Event) -> None:
    while not ended.is_set():
        with contextlib.suppress(TimeoutError, ConnectionError):
            _, told, _, client = listening.recvmsg(2048, 1024)
            info = next(data for _, kind, data in told if kind == IP_PKTINFO)
            _, _, sent_to = struct.unpack("=I4s4s", info)
            answer = socket.inet_ntoa(sent_to).encode()
            # From the address it was sent to, as a server of its own would.
            source = struct.pack("=I4s4s", 0, sent_to, b"\0\0\0\0")
            listening.sendmsg([answer], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, client)
