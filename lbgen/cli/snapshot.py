"""`lbgen snapshot`."""

from __future__ import annotations

from pathlib import Path

import click

from lbgen.cli.options import CommonOptions, common_options
from lbgen.daemon import assembly
from lbgen.report.excerpt import excerpt
from lbgen.source.file import write_snapshot


@click.command()
@common_options(target=False, file=False)
@click.option("-o", "output", type=click.Path(path_type=Path), help="File to write. Default: standard output.")
@click.option("--with-secrets", is_flag=True, help="Keep the values of labels that may be passwords, hashes or tokens.")
@click.option(
    "--keep-label",
    "prefixes",
    metavar="PREFIX",
    multiple=True,
    help="Also keep labels that begin with this, for templates of your own. May be repeated.",
)
def snapshot(common: CommonOptions, output: Path | None, with_secrets: bool, prefixes: tuple[str, ...]) -> None:
    """Record what there is, for 'lbgen render --from'.

    Records the services, tasks, nodes and networks, as far as lbgen reads them: no environment variables, mounts,
    commands, configs or secrets, and of the labels those that a dialect, a placement constraint or a setting reads.

    Of a label that may hold a secret, such as the users of a middleware or a header Authorization, only the name is
    recorded: a route that needs it is closed when the snapshot is rendered. --with-secrets keeps the values. Nobody
    but you may read the file.
    """
    settings = common.settings("warning")
    facts = assembly.source(settings).take()
    text = write_snapshot(excerpt(facts, settings, prefixes=prefixes, secrets=with_secrets), output)
    if not output:
        click.echo(text, nl=False)
