"""Keeps a template that loops without end, or makes gigabytes of text, from taking the process with it.

Time is looked at in every turn of a loop and at every call: the code that templates are compiled to does it. What could
take long or much in one step, a string repeated a billion times, is refused before it begins: see `result_size`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, thread_time

from jinja2 import TemplateRuntimeError, nodes
from jinja2.compiler import CodeGenerator, Frame

from lbgen.labels.values.basic import spell_duration
from lbgen.render.limits import Limits

WAY = 8  # times the size of all files: what may be made on the way to them


class Exceeded(TemplateRuntimeError):
    """A template takes longer, or makes more, than it may."""


class Budget:
    """The limits of one rendering, from its beginning, in the thread that renders."""

    __slots__ = ("_clock", "_end", "_look", "_made", "_processor", "_timeout", "largest")

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = monotonic,
        processor: Callable[[], float] = thread_time,
    ) -> None:
        """
        Args:
            processor: the processor time that this thread has taken, in seconds.
        """
        self._timeout, self.largest = limits.timeout, limits.max_size
        self._clock, self._processor = clock, processor
        self._end = processor() + limits.timeout
        self._look = clock() + limits.timeout
        self._made = 0

    def tick(self) -> None:
        """Raise Exceeded once time is up."""
        if self._clock() > self._look:  # cheaper than the processor time, and never behind it
            left = self._end - self._processor()
            if left <= 0:
                raise Exceeded(
                    f"rendering had taken {spell_duration(self._timeout)} when it came here; is there an endless loop? "
                    "(targets.NAME.render.timeout)"
                )
            self._look = self._clock() + left

    def allow(self, size: int) -> None:
        """Raise Exceeded if a text, or all files together, may not have this many characters."""
        if size > self.largest:
            raise self.too_large(size)

    def made(self, size: int) -> None:
        """Count a value that is printed, or a text that is joined of such; nested macros make some of it twice.

        Raises:
            Exceeded: all of it is several times as much as there may be in the end.
        """
        self._made += size
        if self._made > WAY * self.largest:
            raise self.too_large(self._made)

    def too_large(self, size: int) -> Exceeded:
        """Return the error for a text of at least this many characters."""
        return Exceeded(
            f"this makes {size:,} characters or more, {self.largest:,} are allowed (targets.NAME.render.max_size)"
        )


class LimitedCodeGenerator(CodeGenerator):
    """Compiles templates to code that looks at the clock in every turn of a loop, and joins texts within limits."""

    def enter_frame(self, frame: Frame) -> None:
        """Begin a scope; of a loop, each turn."""
        super().enter_frame(frame)
        if frame.loop_frame:
            self.writeline("environment.budget.tick()")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """Write ``a ~ b``."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")
