"""How Traefik is handed its configuration over HTTP: who is answered when, and with what."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator

import pytest

from lbgen.proxies.traefik.feed import MOST_CLIENTS, Document, Feed
from lbgen.status.server import serve_status
from lbgen.status.view import View
from tests.support.wait import PATIENCE, wait_for
from tests.support.watched import FakeLoop

ONE, TWO, THREE = (Document(name * 12, f"# {name}\n".encode()) for name in "123")


class Asker:
    """One connection, as Traefik's HTTP provider has it."""

    def __init__(self, port: int, target: str = "edge") -> None:
        self._connection, self._target = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE), target
        self.status = 0

    def ask(self) -> bytes:
        """Ask once, and wait for the answer."""
        self._connection.request("GET", f"/traefik/{self._target}")
        answer = self._connection.getresponse()
        self.status = answer.status
        return answer.read()

    def begin(self) -> Asked:
        """Ask, and do not wait."""
        return Asked(self)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Asked:
    """A question on its way."""

    def __init__(self, asker: Asker) -> None:
        self.body = b""
        self._thread = threading.Thread(target=self._run, args=[asker], daemon=True)
        self._thread.start()

    def _run(self, asker: Asker) -> None:
        self.body = asker.ask()

    def answer(self) -> bytes:
        """Wait for what comes back."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.body


@pytest.fixture
def feed() -> Feed:
    """A feed that holds a question longer than any test lasts."""
    return Feed(hold=2 * PATIENCE)


@pytest.fixture
def port(feed) -> Iterator[int]:
    """Where it is served."""
    with serve_status(("127.0.0.1", 0), View(FakeLoop(), []), {"edge": feed}) as port:
        yield port


def held(feed: Feed, count: int = 1) -> None:
    """Wait until so many questions wait for an answer."""
    wait_for(lambda: feed.waiting == count, f"{count} questions to be held")


def test_news_at_once(feed, port):
    """A new connection is answered at once; a known one as soon as there is something else."""
    feed.publish(ONE)
    asker = Asker(port)
    assert asker.ask() == ONE.body
    asked = asker.begin()
    held(feed)
    feed.publish(ONE)  # is no news
    held(feed)
    feed.publish(TWO)
    assert asked.answer() == TWO.body
    asked = asker.begin()
    held(feed)
    feed.publish(ONE)  # one step back
    assert asked.answer() == ONE.body


def test_missed_news(feed, port):
    """What changed between two questions is the answer to the second."""
    feed.publish(ONE)
    asker = Asker(port)
    asker.ask()
    feed.publish(TWO)
    feed.publish(THREE)
    assert asker.ask() == THREE.body


def test_same_again(feed, port):
    """Nobody waits for ever: after a while the same is the answer, whole."""
    feed.hold = 0.0
    feed.publish(ONE)
    asker = Asker(port)
    assert {asker.ask() for _ in range(5)} == {ONE.body}


def test_nothing_yet(feed, port):
    """Without a document the answer is an error, with a text, and never an empty document; then it is the document."""
    asker = Asker(port)
    asked = asker.begin()
    held(feed)
    feed.hold = 0.0
    other = Asker(port)
    assert other.ask() == b"nothing has been rendered and checked yet\n"
    assert other.status == 503
    feed.publish(ONE)
    assert (asked.answer(), asker.status) == (ONE.body, 200)
    assert (other.ask(), other.status) == (ONE.body, 200)


def test_many(feed, port):
    """Several Traefiks ask at once, and all are answered."""
    feed.publish(ONE)
    askers = [Asker(port) for _ in range(10)]
    assert {asker.ask() for asker in askers} == {ONE.body}
    asked = [asker.begin() for asker in askers]
    held(feed, 10)
    feed.publish(TWO)
    assert {each.answer() for each in asked} == {TWO.body}


def test_who_hangs_up(feed, port):
    """A Traefik that ends while it waits holds nobody up, and is answered when it is back."""
    feed.publish(ONE)
    asker = Asker(port)
    asker.ask()
    asker._connection.request("GET", "/traefik/edge")
    held(feed)
    asker.close()
    feed.publish(TWO)
    held(feed, 0)
    assert asker.ask() == TWO.body


def test_the_end(feed):
    """When lbgen ends, who waits is answered, and the server ends with it."""
    with serve_status(("127.0.0.1", 0), View(FakeLoop(), []), {"edge": feed}) as port:
        feed.publish(ONE)
        asker = Asker(port)
        asker.ask()
        asked = asker.begin()
        held(feed)
    assert asked.answer() == ONE.body
    assert "status" not in {thread.name for thread in threading.enumerate()}


def test_who_came_back(feed, port):
    """A Traefik has taken a document when it was sent it and asks for another."""
    feed.hold = 0.0
    feed.publish(ONE)
    asker = Asker(port)
    asker.ask()
    assert feed.taken == ""
    asker.ask()
    assert feed.taken == ONE.generation
    feed.publish(TWO)
    asker.ask()
    assert feed.taken == ONE.generation
    asker.ask()
    assert feed.taken == TWO.generation


def test_old_connections_are_forgotten(feed, port):
    """A port that another had long ago is a new connection; and only so many are remembered."""
    feed.publish(ONE)
    asker = Asker(port)
    asker.ask()
    feed.forget = -1.0
    assert asker.ask() == ONE.body

    async def many() -> None:
        for number in range(2 * MOST_CLIENTS):
            assert await feed.answer(str(number)) == ONE

    asyncio.run(many())
    assert feed.known == MOST_CLIENTS


def test_other_targets(port):
    """Only what is fed over HTTP is there, and it cannot be changed."""
    asker = Asker(port, "nope")
    assert asker.ask() == b"no target of this name is fed over HTTP; there are: edge\n"
    assert asker.status == 404
    asker._connection.request("POST", "/traefik/edge")
    answer = asker._connection.getresponse()
    assert answer.status == 405


def test_after_the_server(feed):
    """What is published when nobody can be told is no error."""

    loop = asyncio.new_event_loop()
    question = loop.create_task(feed.answer("client"))
    loop.run_until_complete(asyncio.sleep(0))
    assert (feed.waiting, question.done()) == (1, False)
    loop.close()
    feed.publish(ONE)
    assert feed.document == ONE
