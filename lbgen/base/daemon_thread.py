"""Work that nobody waits for at the end of lbgen: what asks another machine may take its time to fail.

The threads of an executor, `asyncio.to_thread`'s among them, are waited for when Python ends, and these are not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def started(work: Callable[[], T], name: str) -> Future[T]:
    """Do it in a thread of its own; return what becomes of it."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # it cannot be cancelled any more

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # for those who ask for the result
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
