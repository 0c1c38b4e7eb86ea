"""A command of lbgen's, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from lbgen.cli.main import main


def run(*words: object, given: str | None = None, **environment: str) -> Result:
    """Run ``lbgen WORDS``.

    Args:
        given: its standard input.
        environment: variables besides those of this process.
    """
    return CliRunner().invoke(main, [str(word) for word in words], input=given, env=environment)


def printed(*words: object) -> str:
    """Return what a command prints that succeeds."""
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()
