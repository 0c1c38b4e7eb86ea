"""Brings files to anything else that reads a configuration: in place, and then a command or a signal, if one is set.

Nothing can be asked of a program that lbgen does not know: that the command succeeded has to do for a proof. A note in
the output directory says which generation that was, so that a restarted lbgen does not run it again for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lbgen.base.errors import VerifyFailed
from lbgen.proxies import disk
from lbgen.proxies.other import plan
from lbgen.proxies.plan import Method, Plan
from lbgen.proxies.proxy import Proxy
from lbgen.render.renderer import Files

NOTE = ".lbgen-generation"


class Other(Proxy):
    """A program that reads the files, when it is told to or by itself."""

    def __init__(self, output: Path, reload: Callable[[], None] | None) -> None:
        """
        Args:
            reload: makes it read the files, or raises ApplyFailed; None: it watches them itself.
        """
        self._output, self._reload = output, reload
        self.takes = Method.RELOAD if reload else Method.PUBLISH
        self._taken = disk.read(output, [NOTE]).get(NOTE, "").strip()

    def plan(self, running: Files | None, desired: Files) -> Plan:
        """Return whether the files have changed."""
        return plan.between(running, desired, told=self._reload is not None)

    def reload(self, running: Files | None, desired: Files) -> None:  # noqa: ARG002
        """Tell it, and note that it took the files."""
        if self._reload:
            self._reload()
        disk.write(self._output, {NOTE: f"{desired.generation}\n"})
        self._taken = desired.generation

    def generation(self) -> str:
        """Return the generation that it took last, as far as is known."""
        return self._taken

    def verify(self, generation: str) -> None:
        """Check that it took this one."""
        if self._taken != generation:
            raise VerifyFailed(f"generation {generation} was not taken (found: {self._taken or 'none'})")
