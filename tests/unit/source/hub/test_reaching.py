"""`lbgen.source.hub.reaching`: a TCP connection to a hub, whatever becomes of its first packet."""

from __future__ import annotations

import asyncio
import socket

import pytest

from lbgen.source.hub.reaching import reached
from tests.support.ports import free_port
from tests.support.wait import PATIENCE

NEVER = 3600.0


def test_first_packet_is_lost():
    """Another connection is begun, and the one that hangs is given up."""
    begun, ended = [], []
    here, there = socket.socketpair()

    async def begin(place):
        begun.append(place)
        if len(begun) > 1:
            return here
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(place)

    async def both():
        found = await asyncio.wait_for(reached("127.0.0.1", 9, begin, 0.01), PATIENCE)
        await asyncio.sleep(0)  # what is given up ends in the loop's next turn
        return found

    assert asyncio.run(both()) is here
    assert begun[0] == begun[1]
    assert ended == begun[:1]
    here.close()
    there.close()


def test_late_one_is_closed():
    """Of two connections that stand in the same moment one is taken, and the other ended."""
    pairs = [socket.socketpair(), socket.socketpair()]
    stand = asyncio.Event()
    begun = []

    async def begin(place):
        begun.append(place)
        own, _ = pairs[len(begun) - 1]
        if len(begun) == 2:
            stand.set()
        await stand.wait()
        return own

    taken = asyncio.run(asyncio.wait_for(reached("127.0.0.1", 9, begin, 0.01), PATIENCE))
    assert sorted(own.fileno() == -1 for own, _ in pairs) == [False, True]
    assert taken.fileno() != -1
    for pair in pairs:
        for each in pair:
            each.close()


def test_says_no_once():
    """Where nothing listens, that is known at once: the port is not asked a second time."""
    begun = []

    async def begin(place):
        begun.append(place)
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(reached("127.0.0.1", 9, begin, NEVER))
    assert len(begun) == 1


def test_other_address():
    """A name may have an address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with asyncio.run(reached("localhost", port, again=NEVER)) as found:
            assert found.getpeername() == ("127.0.0.1", port)


def test_nothing_listens():
    """The kernel's own error is raised."""
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(reached("127.0.0.1", free_port(), again=NEVER))
