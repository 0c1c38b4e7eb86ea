"""Signals, noticed at once whatever the main thread waits for.

Python runs a handler in the main thread, between two of its instructions: one that comes while that thread gives the
interpreter away to wait for a lock is handled when the wait is over, which may be never. What the interpreter itself
does in the moment of the signal is to write its number to a file; a thread reads that.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable

from lbgen.base.unexpected import UNEXPECTED, Part

_calls: dict[int, Callable[[], None]] = {}  # a process has one set of signals
_started: list[socket.socket] = []


def on_signal(number: int, call: Callable[[], None]) -> None:
    """Have it called, in a thread of its own, whenever the process gets this signal. Only in the main thread."""
    _calls[number] = call
    if not _started:
        reading, writing = socket.socketpair()
        writing.setblocking(False)
        _started.extend((reading, writing))
        threading.Thread(target=_run, args=[reading], name="signals", daemon=True).start()
    signal.set_wakeup_fd(_started[1].fileno(), warn_on_full_buffer=False)
    signal.signal(number, lambda *_: None)  # else the process would end, or nothing be written


def _run(reading: socket.socket) -> None:
    while numbers := reading.recv(64):
        for number in numbers:
            if call := _calls.get(number):
                UNEXPECTED.guard(Part.SIGNALS, signal.Signals(number).name).tried(call)
