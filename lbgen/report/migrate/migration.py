"""Traefik's static configuration as a settings file for lbgen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lbgen.base.errors import SettingsError
from lbgen.report.migrate.discovery import Discovery
from lbgen.report.migrate.draft import Draft
from lbgen.report.migrate.hints import hints_of
from lbgen.report.migrate.left_out import reason
from lbgen.report.migrate.listeners import EntryPoints
from lbgen.report.migrate.words import Words


def migrated(words: Words, of: str, *, proxy: str, files: Sequence[Path], labels: Iterable[Mapping[str, str]]) -> str:
    """Return the settings file, with comments on what was decided, and on what is not carried over.

    Args:
        of: where the static configuration stands, in words; empty: nowhere.
        proxy: kind of the target.
        files: of Traefik's file provider, as they are here.
        labels: of services, as far as they are known: they tell what entry points carry.
    Raises:
        SettingsError: there is nothing to make settings of.
    """
    if not words.said:
        what = f"{of}: no option of Traefik's static configuration is there" if of else "nothing to read"
        raise SettingsError(f"{what}; name it with --static, --command-line or --from")
    draft = Draft()
    other = Discovery(words, draft, files)
    other.add_provider()
    EntryPoints(words, draft, hints_of(labels)).add()
    other.add_files()
    other.add_transport()
    other.add_logs()
    other.add_certificates()
    other.add_status()
    draft.put(("targets", "edge"), {"templates": proxy, "apply": {"run": True}}, "lbgen starts the proxy")
    for said in words.rest():
        draft.leave(said.path, reason(said.path))
    return draft.text(of)
