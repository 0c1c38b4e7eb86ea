"""What Swarm itself wrote down about an event: which task ran, was sent away or died, and when by its own clock."""

from __future__ import annotations

import datetime
import re
import threading
import time
from dataclasses import dataclass
from typing import Any

from bench.seats import NETWORK
from tests.lab.service import Service
from tests.lab.settings import LabError

POLL = 0.1  # seconds; the timestamps are Swarm's own, so this only has to be shorter than any state lasts
OVER = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}


def epoch(text: str) -> float:
    """Read the Engine API's time stamps: RFC 3339, nanoseconds, UTC."""
    found = re.fullmatch(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?Z", text)
    if not found:
        raise ValueError(f"{text!r} is not a time stamp of the Engine API")
    whole = datetime.datetime.fromisoformat(found[1]).replace(tzinfo=datetime.UTC).timestamp()
    return whole + float(found[2] or 0)


@dataclass(slots=True)
class Story:
    """One task during an event; times are seconds since the epoch, None for what did not happen."""

    task: str
    node: str
    who: str = ""  # the X-App of its answers
    address: str = ""  # on the network of the seats
    ran: float | None = None  # the agent saw it run
    ran_stored: float | None = None  # ... and the store had it
    left: float | None = None  # the store had a desired state beyond running
    failed: float | None = None  # the agent saw it die by itself
    failed_stored: float | None = None
    over: float | None = None  # it was seen ended, or gone from the store

    @property
    def arrived(self) -> bool:
        return self.ran is not None


class Watch:
    """Follows the tasks of one service for the length of a block."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stories: dict[str, Story] = {}
        self._before: set[str] = set()  # tasks that were running when the block was entered
        self._ignored: set[str] = set()  # tasks that were over by then
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="store", daemon=True)

    def __enter__(self) -> Watch:
        for task in self.service.tasks():
            (self._ignored if task["Status"]["State"] in OVER else self._before).add(task["ID"])
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def newcomer(self) -> str:
        """Address of a task that is new and does not run yet, as far as one is known; "" if not."""
        return next((story.address for id_, story in self.stories.items() if id_ not in self._before), "")

    def arriving(self) -> list[Story]:
        """Tasks that began to run."""
        return [story for id_, story in self.stories.items() if id_ not in self._before and story.arrived]

    def leaving(self) -> list[Story]:
        """Tasks that were running before and were sent away."""
        return [story for id_, story in self.stories.items() if id_ in self._before and story.left]

    def dead(self) -> list[Story]:
        """Tasks that were running before and ended by themselves."""
        return [story for id_, story in self.stories.items() if id_ in self._before and story.failed]

    def present(self) -> set[str]:
        """X-App of the tasks that run and shall run, as of the last look."""
        return {story.who for story in self.stories.values() if story.arrived and not (story.left or story.over)}

    def _follow(self) -> None:
        while not self._stop.wait(POLL):
            try:
                self._look()
            except (OSError, LabError):
                continue

    def _look(self) -> None:
        tasks = {task["ID"]: task for task in self.service.tasks() if task["ID"] not in self._ignored}
        now = time.time()
        for id_, task in tasks.items():
            _note(self.stories.setdefault(id_, Story(id_, task.get("NodeID", ""))), task, now)
        for id_ in self.stories.keys() - tasks.keys():
            story = self.stories[id_]
            story.over = story.over or now
            story.left = story.left or now


def _note(story: Story, task: dict[str, Any], now: float) -> None:
    state, wanted = task["Status"]["State"], task["DesiredState"]
    stamped, stored = epoch(task["Status"]["Timestamp"]), epoch(task["UpdatedAt"])
    container = task["Status"].get("ContainerStatus", {}).get("ContainerID", "")
    story.who = story.who or container[:12]
    for attachment in task.get("NetworksAttachments") or []:
        if attachment["Network"]["Spec"]["Name"] == NETWORK:
            story.address = attachment["Addresses"][0].partition("/")[0]
    story.node = task.get("NodeID", story.node)
    if state == "running" and story.ran is None:
        story.ran = stamped
        story.ran_stored = stored if wanted == "running" else stamped
    if state == "failed" and story.failed is None:
        story.failed = stamped
        story.failed_stored = stored
    if wanted in ("shutdown", "remove") and story.left is None:
        story.left = stored
    if state in OVER and story.over is None:
        story.over = now
