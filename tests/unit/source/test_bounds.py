"""What an engine sends is bounded in size, depth, time and rate: beyond it is a SourceError, and nothing stays."""

from __future__ import annotations

import random
import threading

import pytest

from lbgen.base.errors import SourceError
from lbgen.source.engine.schedule import Pace, Schedule
from lbgen.source.engine.source import EngineSource
from lbgen.source.mailbox import MOST_CHANGES, Change, Mailbox
from tests.support import endless
from tests.support.fake_engine import FakeEngine
from tests.support.following import Following
from tests.support.memory import peak
from tests.support.wait import PATIENCE, wait_for

BOUND = 400  # MiB of the whole process, of which its code is about 70
QUICK = Pace(retry_min=0.01, retry_max=0.05, resync=10_000.0, timeout=PATIENCE)
TAKE = """
import sys
from lbgen.base.errors import SourceError
from lbgen.source.engine.source import EngineSource
try:
    EngineSource([sys.argv[1]]).take()
except SourceError as error:
    print(error)
"""
LINES = """
import sys
from lbgen.base.errors import SourceError
from lbgen.source.engine.api import Engine
from lbgen.source.engine.endpoints import resolve
try:
    for line in Engine(resolve(sys.argv[1]), 10.0).stream("/events").lines():
        pass
except SourceError as error:
    print(error)
"""


@pytest.fixture
def engine(tmp_path):
    """A manager of the recorded cluster."""
    fake = FakeEngine(tmp_path / "one.sock")
    yield fake
    fake.stop()


def source(engine, pace=QUICK):
    return EngineSource([engine.endpoint], pace=pace, rng=random.Random(1))


@pytest.mark.parametrize(
    ("path", "reply", "said"),
    [
        ("/tasks", endless.endless(), "GET /tasks: the answer is larger than 64 MiB"),
        ("/info", endless.one_chunk(), "GET /info: the answer is larger than 64 MiB"),
        ("/tasks", endless.long_chunk_head(), ""),
        ("/tasks", endless.bomb(), "GET /tasks: the answer is compressed ('gzip')"),
        ("/version", endless.endless(500), "GET /version answered 500: aaaa"),
    ],
    ids=["endless", "one chunk", "head of a chunk", "gzip", "endless 500"],
)
def test_memory_for_answers(engine, path, reply, said):
    """However much is sent, and however."""
    engine.raw = {path: reply}
    highest, printed = peak(TAKE, engine.endpoint)
    assert said in printed
    assert len(printed) < 1000
    assert highest < BOUND


def test_memory_for_a_stream_without_line_ends(engine):
    """It breaks at 1 MiB, also if it is one chunk without end."""
    for reply in (endless.endless(), endless.one_chunk()):
        engine.raw = {"/events": reply}
        highest, printed = peak(LINES, engine.endpoint)
        assert "GET /events: a line is larger than 1 MiB" in printed
        assert highest < BOUND


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (endless.deep(), "nested too deeply"),
        (b"[" + b"{}," * 20_000_000 + b"{}]", "more than 4000000 values"),
    ],
    ids=["deep", "many"],
)
def test_memory_for_json(engine, body, said):
    """Data costs more than its text: depth and number of values are bounded as well."""
    engine.replies["services"] = body
    highest, printed = peak(TAKE, engine.endpoint)
    assert f"GET /services: {said}" in printed
    assert highest < BOUND


def test_no_compression_is_asked_for(engine):
    """A few KiB of gzip can stand for gigabytes."""
    asked = []
    engine.on_headers = asked.append
    source(engine).take()
    assert {headers.get("Accept-Encoding") for headers in asked} == {"identity"}


@pytest.mark.parametrize("reply", [endless.dripping, endless.dripping_head])
@pytest.mark.parametrize("path", ["/version", "/tasks"])
def test_slow_answers(engine, reply, path):
    """Given up by their whole time, though never silent; neither thread nor connection stays behind."""
    gone, before = threading.Event(), set(threading.enumerate())
    engine.raw = {path: reply(gone)}
    for _ in range(5):
        with pytest.raises(SourceError) as given_up:
            source(engine, Pace(timeout=1.0)).take()
        # The honest answers before those of /tasks have to meet that, and so has each of the drops: a busy machine can
        # be silent for as long.
        if "no answer for 1 s" not in str(given_up.value):
            break
    assert "no whole answer within 6 s" in str(given_up.value)
    assert gone.wait(PATIENCE)
    wait_for(lambda: not engine.connections)
    left = "lbgen-source-request"
    wait_for(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.name == left])


def test_last_good_stays(engine):
    """What exceeds a limit changes nothing, and is over when the engine is well again."""
    with Following(source(engine)) as following:
        first = following.next()
        engine.raw = {"/tasks": endless.endless()}
        before = engine.count("/tasks")
        following.source.relist()
        wait_for(lambda: engine.count("/tasks") > before + 1)
        assert following.pending == 0
        engine.raw = {}
        assert following.next() == first


def test_storm_costs_ten_listings_a_second():
    """However many events there are, and however quick listings are."""
    schedule = Schedule(Pace(), random.Random(1), frozenset())
    schedule.done(schedule.begin(0.0), 0.0, 0.0, moving=False)
    listings = 0
    for tick in range(10_000):
        now = 1 + tick / 1000
        schedule.heard({"services"}, now)
        if schedule.due() <= now:
            listings += 1
            schedule.done(schedule.begin(now), now, now, moving=False)
    assert listings <= 101


def test_first_event_is_answered_at_once():
    """Also right after a listing that was wanted for another reason."""
    schedule = Schedule(Pace(), random.Random(1), frozenset())
    schedule.done(schedule.begin(0.0), 0.0, 0.0, moving=False)
    schedule.heard({"services"}, 0.2)
    assert schedule.due() <= 0.2
    schedule.done(schedule.begin(0.2), 0.2, 0.2, moving=False)
    schedule.want_all()
    assert schedule.due() <= 0.2


def test_storm_of_messages_is_no_storm_of_memory():
    """While nobody reads, kinds are kept once, and of an object its newest state."""
    mailbox = Mailbox()
    for version in range(100_000):
        mailbox.tell({"nodes"}, [Change("tasks", "a", None, version)])
    mailbox.tell(changes=[Change("tasks", "a", None, 7)])  # late
    mail = mailbox.wait(0.0)
    assert mail.kinds == {"nodes"}
    assert mail.changes == (Change("tasks", "a", None, 99_999),)


def test_more_changes_than_can_be_kept():
    """Their kinds are listed again instead."""
    mailbox = Mailbox()
    mailbox.tell(changes=[Change("tasks", str(number), None, 1) for number in range(MOST_CHANGES + 1)])
    mailbox.tell(changes=[Change("nodes", "a", None, 1)])
    mail = mailbox.wait(0.0)
    assert mail.kinds == {"tasks"}
    assert mail.changes == (Change("nodes", "a", None, 1),)
