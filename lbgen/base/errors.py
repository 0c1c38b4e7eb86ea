"""Every error lbgen raises on purpose, as one tree.

A message names the thing, the value and the remedy. ``exit_code`` is what a command ends with;
the codes are public interface, people script against them.
"""

from __future__ import annotations

from collections.abc import Sequence


class LbgenError(Exception):
    """Anything lbgen can explain. What runs keeps running."""

    exit_code = 1


class SettingsError(LbgenError):
    """The settings, a flag or an environment variable cannot be used. Nothing was started."""

    exit_code = 2


class TemplateError(LbgenError):
    """A template set cannot be read, or a template failed. Nothing was written."""

    exit_code = 3


class CheckFailed(LbgenError):
    """The proxy's own validator refused the rendered files.

    Nothing was applied: the proxy still runs its previous configuration.
    """

    exit_code = 3
    in_haste = False  # the machine may have been busy: the same files may be accepted another time

    def __init__(self, command: Sequence[str], output: str) -> None:
        super().__init__(f"{command[0]} refused the rendered configuration:\n{output.strip()}")
        self.command, self.output = tuple(command), output


class CheckTimedOut(CheckFailed):
    """The proxy's validator took too long over the rendered files: as good as a refusal, and tried again.

    Nothing was applied: the proxy still runs its previous configuration.
    """

    in_haste = True

    def __init__(self, command: Sequence[str], seconds: float, output: str = "") -> None:
        took = f"no verdict after {seconds:.0f} s"
        super().__init__(command, f"{took}: {output.strip()}" if output.strip() else took)


class CheckUnavailable(LbgenError):
    """The proxy's validator could not be run at all, so nothing is known about the files."""

    exit_code = 3


class SourceError(LbgenError):
    """The facts cannot be read right now. What was known last stays in force."""

    exit_code = 4


class UnknownService(LbgenError):
    """Nothing in the snapshot has the name or id that was asked for."""

    exit_code = 2


class NoDaemon(LbgenError):
    """No `lbgen run` answers where its status was asked for. Whether one runs is not known."""

    exit_code = 4


class NotAdmitted(LbgenError):
    """The daemon that was asked wants a token or a password."""

    exit_code = 2


class ProblemsFound(LbgenError):
    """``--strict`` was asked for and some services have problems."""

    exit_code = 5


class Differs(LbgenError):
    """``--diff`` was asked for and the rendered files are not those in the directory."""

    exit_code = 6


class ApplyFailed(LbgenError):
    """The files could not be written, or the proxy did not take them.

    The previous files are back in place and the proxy runs, or regains, the previous configuration.
    """


class VerifyFailed(ApplyFailed):
    """The proxy does not serve the generation that was just applied."""


class ProxyUnreachable(ApplyFailed):
    """The proxy does not answer, most likely because it does not run.

    The new files, which its checker accepted, stay in place: they are what it reads when it starts.
    """
